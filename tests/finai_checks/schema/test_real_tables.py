"""What the watch does about the eight kinds of change on copies of the real Berka tables, three of whose months are loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_bank import MONTHS, Bank

from tests.finai_assets.ingest.tables.test_berka import KEY
from tests.finai_assets.ingest.test_schema_diff import CASES

pytestmark = [pytest.mark.slow, pytest.mark.berka]

# case -> policy, and whether the source's months are others, or unreadable, by the change
EXPECTED = {
    "a column has come": ("ignore", False),
    "a column that nothing reads is gone": ("ignore", False),
    "a column that much is made from is gone": ("hold", True),
    "a column has another name, in another place": ("hold", True),
    "a column has another name and other values": ("ignore", False),  # nothing reads the balance
    "a number has become a text": ("hold", False),  # the mapping reads the same numbers from it
    "a declared category has a new word": ("widen", True),  # words of both renderings are known; the new one is refused
    "a key column lacks values": ("hold", True),
}


@pytest.fixture(scope="module")
def loaded(berka_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    (root / "bank").mkdir()
    for file in berka_dir.glob("*.parquet"):
        shutil.copy(file, root / "bank" / file.name)
        (root / "bank" / file.name).chmod(0o644)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
        bank = Bank(root)
        bank.load(*MONTHS)
        assert bank.watch().recorded == ()
    return root


def test_every_kind_of_change_is_recorded_once_and_held_only_where_it_touches_something(
    loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    rows = []
    for number, (case, (table, edit, kinds)) in enumerate(CASES.items()):
        shutil.copytree(loaded, tmp_path / str(number))
        bank = Bank(tmp_path / str(number))
        file = bank.source / f"{table}.parquet"
        pq.write_table(edit(pq.read_table(file)), file)
        found = bank.watch()
        (recorded,) = found.recorded
        policy, altered = EXPECTED[case]
        rows.append(
            f"{case}: {recorded.change.told}; {recorded.policy}, {len(recorded.touched)} raw columns, "
            f"{len(recorded.groups)} groups, {len(recorded.tasks)} tasks, {len(recorded.months)} months, "
            f"{len(found.spoken)} evaluations, {sum(not each.outcome.passed for each in found.spoken)} failed"
        )
        assert (recorded.change.kind, recorded.policy, bool(recorded.months)) == (kinds[0][0], policy, altered), rows[
            -1
        ]
        assert bool(recorded.incident) == (policy == "hold")
        failed = {each.month.key for each in found.spoken if not each.outcome.passed}
        assert failed == (set(recorded.months) if policy == "hold" else set())
        assert bank.watch().recorded == ()
    print("\n".join(rows))  # noqa: T201 - what the watch made of each is what this shows
