"""What a log's chain cannot show is shown by its seals and by heads that are kept outside the lake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from finai_resources.anchors import IDENTITY, Anchors
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import ConfigError, LakeError
from finai_resources.lake import Lake

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINAI_ANCHORS", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def log_of(lake: Lake, *, key: bytes | None = KEY, anchored: bool = True, every: int = 1) -> ChainedLog:
    return ChainedLog(lake, "evidence", key=key, anchors=Anchors.of(lake) if anchored else None, anchor_every=every)


def filled(lake: Lake, count: int = 6, *, every: int = 1) -> ChainedLog:
    log = log_of(lake, every=every)
    for k in range(count):
        log.append({"k": k, "passed": k % 2 == 0})
    return log


def folder(lake: Lake) -> Path:
    return Path(lake.root, "evidence")


def cut_the_last_and_rewrite_the_head(lake: Lake) -> None:
    (folder(lake) / "000000005.json").unlink()
    (folder(lake) / "head.json").unlink()
    ChainedLog(lake, "evidence").append_after(ChainedLog(lake, "evidence").head(), {"k": "other"})


def delete_everything(lake: Lake) -> None:
    shutil.rmtree(folder(lake))


def delete_the_head(lake: Lake) -> None:
    (folder(lake) / "head.json").unlink()


def set_the_head_back(lake: Lake) -> None:
    second = json.loads((folder(lake) / "000000002.json").read_text())
    (folder(lake) / "head.json").write_text(json.dumps({"count": 2, "digest": second["previous"]}))


def write_all_anew_with_failures_turned_into_passes(lake: Lake) -> None:
    records = [entry.record for entry in ChainedLog(lake, "evidence").entries()]
    delete_everything(lake)
    ChainedLog(lake, "evidence").append_all([{**record, "passed": True} for record in records])


def append_a_forged_entry(lake: Lake) -> None:
    ChainedLog(lake, "evidence").append({"k": "forged", "passed": True})


Attack = Callable[[Lake], None]
ATTACKS: list[tuple[Attack, bool, bool]] = [  # whether seals alone find it, and whether anchors alone do
    (cut_the_last_and_rewrite_the_head, True, True),
    (delete_everything, False, True),
    (delete_the_head, True, True),
    (set_the_head_back, False, True),
    (write_all_anew_with_failures_turned_into_passes, True, True),
    (append_a_forged_entry, True, False),
]


@pytest.mark.parametrize(
    ("attack", "by_seals", "by_anchors"), ATTACKS, ids=[attack.__name__ for attack, _, _ in ATTACKS]
)
def test_attacks_are_found_by_seals_or_by_anchors(lake: Lake, attack: Attack, by_seals: bool, by_anchors: bool) -> None:
    filled(lake)
    assert log_of(lake).verify() == []
    attack(lake)
    assert bool(log_of(lake, anchored=False).verify()) is by_seals
    assert bool(log_of(lake, key=None).verify()) is by_anchors
    assert log_of(lake).verify()


def test_what_follows_the_last_anchor_can_be_cut_off_unseen_and_no_more(lake: Lake) -> None:
    log = filled(lake, 7, every=3)
    assert [anchor.count for anchor in Anchors.of(lake).kept("evidence")] == [3, 6]  # type: ignore[union-attr]
    (folder(lake) / "000000006.json").unlink()
    (folder(lake) / "head.json").write_text(json.dumps({"count": 6, "digest": entry_digest(log, 6)}))
    assert log_of(lake).verify() == []
    (folder(lake) / "000000005.json").unlink()
    assert "cut off" in log_of(lake).verify()[0].what


def entry_digest(log: ChainedLog, count: int) -> str:
    anchors = log.anchors
    assert anchors is not None
    return next(anchor.digest for anchor in anchors.kept("evidence") if anchor.count == count)


def test_one_append_of_many_keeps_one_anchor_where_one_is_due(lake: Lake) -> None:
    log = log_of(lake, every=10)
    log.append_all([{"k": k} for k in range(9)])
    assert Anchors.of(lake).kept("evidence") == []  # type: ignore[union-attr]
    log.append_all([{"k": k} for k in range(25)])
    assert [anchor.count for anchor in Anchors.of(lake).kept("evidence")] == [34]  # type: ignore[union-attr]
    log.anchor()
    assert len(Anchors.of(lake).kept("evidence")) == 1  # type: ignore[union-attr]


def test_an_edited_entry_and_one_of_another_key_break_their_seals(lake: Lake) -> None:
    filled(lake)
    path = folder(lake) / "000000005.json"
    path.write_text(path.read_text().replace('"passed": false', '"passed": true'))
    assert "the entry is not the one that was sealed" in [fault.what for fault in log_of(lake, anchored=False).verify()]
    assert any("another key" in fault.what for fault in log_of(lake, key=OTHER_KEY).verify())


def test_half_a_surrogate_pair_in_a_seal_is_a_broken_seal(lake: Lake) -> None:
    filled(lake)
    path = folder(lake) / "000000005.json"
    entry = json.loads(path.read_text())
    path.write_text(json.dumps({**entry, "mac": "\ud800"}))
    assert "the entry is not the one that was sealed" in [fault.what for fault in log_of(lake, anchored=False).verify()]


def test_a_lake_that_is_made_anew_in_the_same_place_shows_the_one_before(tmp_path: Path) -> None:
    first = Lake.on_disk(tmp_path / "lake")
    filled(first)
    shutil.rmtree(first.root)
    second = Lake.on_disk(tmp_path / "lake")
    filled(second, 2)
    anchors = Anchors.of(second)
    assert anchors is not None
    assert log_of(second).verify() == []
    assert len(anchors.of_other_lakes()) == 1


def test_a_copied_lake_goes_its_own_way(tmp_path: Path) -> None:
    first = Lake.on_disk(tmp_path / "lake")
    filled(first)
    shutil.copytree(first.root, tmp_path / "copy")
    copy = Lake.on_disk(tmp_path / "copy")
    log_of(copy).append({"k": "of the copy"})
    log_of(first).append({"k": "of the original"})
    assert log_of(copy).verify() == []
    assert log_of(first).verify() == []


@pytest.mark.parametrize("content", ["", "[]", '{"id": 3}', '{"id": "no hex"}'])
def test_a_damaged_identity_is_told(lake: Lake, content: str) -> None:
    filled(lake)
    Path(lake.root, IDENTITY).write_text(content)
    with pytest.raises(LakeError, match="not the id of a lake"):
        log_of(lake).verify()


@pytest.mark.parametrize("content", ["", "{}", '{"count": "1", "digest": "x", "at": ""}'])
def test_a_damaged_anchor_is_told(lake: Lake, place: Path, content: str) -> None:
    filled(lake)
    next(place.rglob("000000003.json")).write_text(content)
    with pytest.raises(LakeError, match="this is no anchor"):
        log_of(lake).verify()


def test_none_keeps_none_and_days_must_be_a_number(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINAI_ANCHORS", "none")
    assert Anchors.of(lake) is None
    monkeypatch.setenv("FINAI_ANCHORS", "")
    monkeypatch.setenv("FINAI_ANCHOR_DAYS", "a year")
    with pytest.raises(ConfigError, match="a year"):
        Anchors.of(lake)


def test_a_place_that_cannot_be_made_is_told_where_it_was_named(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FINAI_ANCHORS", str(tmp_path / "file" / "below"))
    with pytest.raises(LakeError, match="no anchor can be kept"):
        Anchors.of(lake)
    monkeypatch.delenv("FINAI_ANCHORS")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert Anchors.of(lake) is None
