"""What is read is what was written: each stored file is hashed when a process first reads it, and refused where it differs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from finai_resources import stored_bytes
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import is_current
from finai_resources.manifest import MANIFEST
from finai_resources.quarantine import DAMAGED

ASSET, MONTH = "features/x", "2015-01"
ROLES = ("model.txt", "card.json", "X.npy")


def write(lake: Lake, month: str = MONTH, first: int = 0) -> None:
    ids = np.arange(first, first + 400)
    with lake.write(ASSET, month, code_version="1") as out:
        out.write(pa.table({"customer_id": ids, "value": ids * 0.25}), row_group_size=50)
        out.put("model.txt", b"tree\n" * 40 + str(first).encode())
        out.put("card.json", b'{"a": 1}')
        np.save(out.new_file("X.npy"), np.arange(first, first + 64, dtype=np.float32))


def path_of(lake: Lake, role: str, month: str = MONTH) -> Path:
    manifest = lake.manifest(ASSET, month)
    return Path(lake.path(manifest, manifest.file(role)))


def read(lake: Lake, role: str) -> object:
    if role == "table":
        return lake.read_customers(ASSET, MONTH, 3, 3)
    return lake.local_path(ASSET, MONTH, role) if role == "X.npy" else lake.read_bytes(ASSET, MONTH, role)


def test_of_200_single_bit_flips_in_all_kinds_of_files_every_one_is_refused(lake: Lake) -> None:
    rng = random.Random(17)
    for turn in range(200):
        write(lake)
        role = ("table", *ROLES)[turn % 4]
        file = path_of(lake, role)
        content = bytearray(file.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        with pytest.raises(LakeError, match=r"features/x@2015-01 is damaged.*\n.*`finai run`"):
            read(lake, role)
        assert lake.find(ASSET, MONTH) is None
        with pytest.raises(LakeError, match="was found damaged"):
            read(lake, role)


def test_of_300_single_bit_flips_in_manifests_every_one_is_refused_or_alters_no_field(lake: Lake) -> None:
    rng = random.Random(18)
    write(lake)
    before, file = lake.find(ASSET, MONTH), Path(lake.folder(ASSET, MONTH)) / MANIFEST
    written, refused = file.read_bytes(), 0
    for _ in range(300):
        content = bytearray(written)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        try:
            assert lake.find(ASSET, MONTH) == before  # an exponent's e that became E
        except LakeError:
            refused += 1
    assert refused > 250


def test_a_manifest_from_before_there_were_seals_is_read_and_one_with_an_unknown_field_is_not(lake: Lake) -> None:
    write(lake)
    file = Path(lake.folder(ASSET, MONTH)) / MANIFEST
    fields = json.loads(file.read_bytes())
    del fields["seal"]
    file.write_text(json.dumps(fields))
    assert lake.read_bytes(ASSET, MONTH, "card.json") == b'{"a": 1}'
    file.write_text(json.dumps({**fields, "seam": "0"}))
    with pytest.raises(LakeError, match="it is no manifest"):
        lake.find(ASSET, MONTH)


def test_keys_and_values_of_any_type_in_what_a_writer_adds_keep_the_seal_true(lake: Lake) -> None:
    extra = {"counts": {10: 1, 9: (1, 2.5)}, "text": "\u00e9\U0001f600", "none": None, "small": 1e-300}
    with lake.write(ASSET, MONTH, extra=extra) as out:
        out.put("a.txt", b"x")
    assert lake.manifest(ASSET, MONTH).extra["counts"] == {"9": [1, 2.5], "10": 1}


def swap(lake: Lake, file: Path, role: str) -> None:
    write(lake, "2015-02", first=7)
    file.write_bytes(path_of(lake, role, "2015-02").read_bytes())


DAMAGES: dict[str, Callable[[Lake, Path, str], object]] = {
    "gone": lambda _lake, file, _role: file.unlink(),
    "truncated": lambda _lake, file, _role: file.write_bytes(file.read_bytes()[:-1]),
    "empty": lambda _lake, file, _role: file.write_bytes(b""),
    "swapped": swap,
}


@pytest.mark.parametrize("role", ["table", "model.txt", "X.npy"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_the_one_written_is_refused_and_computed_again(lake: Lake, damage: str, role: str) -> None:
    write(lake)
    read(lake, role)
    file = path_of(lake, role)
    DAMAGES[damage](lake, file, role)
    if damage != "swapped":
        assert not is_current(lake, ASSET, MONTH, code_version="1", config_hash="")
    with pytest.raises(LakeError, match=file.name):
        read(lake, role)
    assert not is_current(lake, ASSET, MONTH, code_version="1", config_hash="")
    write(lake)
    read(lake, role)
    assert is_current(lake, ASSET, MONTH, code_version="1", config_hash="")
    assert not (file.parent / DAMAGED).exists()


def test_a_file_is_hashed_once_in_a_process_and_again_when_it_was_replaced(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    real = stored_bytes.hash_file
    monkeypatch.setattr(stored_bytes, "hash_file", lambda fs, path: (hashed.append(path), real(fs, path))[1])
    monkeypatch.setattr(stored_bytes, "_STEP_ON_DISK", 0)
    write(lake)
    for _ in range(3):
        read(lake, "table")
        read(lake, "X.npy")
    assert len(hashed) == 2
    write(lake)
    read(lake, "table")
    assert len(hashed) == 3


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_an_unreadable_manifest_is_not_current_and_names_the_way_out(lake: Lake, content: bytes) -> None:
    write(lake)
    (Path(lake.folder(ASSET, MONTH)) / MANIFEST).write_bytes(content)
    assert not is_current(lake, ASSET, MONTH, code_version="1", config_hash="")
    with pytest.raises(LakeError, match="`finai run`"):
        lake.read(ASSET, MONTH)
    write(lake)
    assert is_current(lake, ASSET, MONTH, code_version="1", config_hash="")
