"""Bundles are kept by id, exports appear whole, and aliases are what the chained log says, on disk and in S3."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from finai_assets.bundle.registry import Registry, export, fetch, note, register, resolve
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import BundleError, PromotionError
from finai_resources.lake import Lake

LINEAGE = {"labels of a month": "1"}
_PROMOTER = """
import sys
from finai_assets.bundle.registry import Registry
from finai_resources.lake import Lake
root, bundle, endpoint = sys.argv[1:]
if endpoint:
    from dagster_aws.s3 import S3Resource
    from finai_resources.lake_resource import LakeResource
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    lake = LakeResource(root=root, s3=S3Resource(endpoint_url=endpoint, **keys)).open()
else:
    lake = Lake.on_disk(root)
registry = Registry.read(lake)
print("read", flush=True)
sys.stdin.readline()  # all have decided on the same state
won = registry.append({"kind": "promotion", "bundle": bundle, "aliases": {"champion": bundle}})
print("won" if won else "told")
"""


@pytest.fixture(params=["disk", "S3"])
def any_lake(request: pytest.FixtureRequest) -> Lake:
    """Return an empty lake, in a folder and in S3."""
    found: Lake = request.getfixturevalue("lake" if request.param == "disk" else "s3_lake")
    return found


def test_an_export_holds_every_byte_and_a_second_one_changes_nothing(
    bundle_files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = export(bundle_files, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert export(bundle_files, tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == stamps
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == bundle_files
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [folder.name]


def test_a_damaged_export_is_replaced_whole(bundle_files: dict[str, bytes], tmp_path: Path) -> None:
    folder = export(bundle_files, tmp_path)
    (folder / "rules.json").write_bytes(b"damaged")
    (folder / "models" / "churn_signal.txt").unlink()
    export(bundle_files, tmp_path)
    assert (folder / "rules.json").read_bytes() == bundle_files["rules.json"]
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == set(bundle_files)


def test_files_without_a_manifest_are_no_bundle(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        export({"rules.json": b"{}"}, tmp_path)
    with pytest.raises(BundleError, match="no bundle"):
        register(lake, {"rules.json": b"{}"}, LINEAGE)
    assert Registry.read(lake).entries == ()


def test_a_registered_bundle_is_challenger_and_comes_back_whole(bundle_files: dict[str, bytes], any_lake: Lake) -> None:
    bundle_id = register(any_lake, bundle_files, LINEAGE)
    registry = Registry.read(any_lake)
    assert registry.aliases == {"challenger": bundle_id}
    assert registry.registrations[bundle_id].record["lineage"] == LINEAGE
    assert fetch(any_lake, bundle_id) == bundle_files
    assert register(any_lake, bundle_files, LINEAGE) == bundle_id
    assert len(Registry.read(any_lake).entries) == 1  # nothing new, no entry
    register(any_lake, bundle_files, {"labels of a month": "2"})
    assert len(Registry.read(any_lake).entries) == 2
    assert any_lake.assets() == []  # neither the bundles nor the log is taken for an asset


def test_a_damaged_stored_file_is_stored_again_with_its_bundle(bundle_files: dict[str, bytes], lake: Lake) -> None:
    bundle_id = register(lake, bundle_files, LINEAGE)
    Path(lake.root, "bundles", bundle_id, "rules.json").write_bytes(b"damaged")
    register(lake, bundle_files, LINEAGE)
    assert fetch(lake, bundle_id) == bundle_files


def test_a_bundle_is_resolved_by_alias_id_or_first_digits_and_exported_where_it_is_absent(
    bundle_files: dict[str, bytes], any_lake: Lake, tmp_path: Path
) -> None:
    bundle_id = register(any_lake, bundle_files, LINEAGE)
    for name in ("challenger", bundle_id, bundle_id[:6]):
        folder = resolve(any_lake, tmp_path / "home", name)
        assert folder == tmp_path / "home" / "bundles" / bundle_id
    assert (folder / "rules.json").read_bytes() == bundle_files["rules.json"]
    (folder / "rules.json").write_bytes(b"damaged")
    assert (resolve(any_lake, tmp_path / "home", bundle_id) / "rules.json").read_bytes() == bundle_files["rules.json"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("champion", "no bundle is champion yet"),
        ("previous", "no bundle is previous yet"),
        ("best", "there is no bundle 'best'"),
        ("abc", "there is no bundle"),
    ],
)
def test_a_name_that_stands_for_nothing_is_told(
    bundle_files: dict[str, bytes], lake: Lake, tmp_path: Path, name: str, said: str
) -> None:
    register(lake, bundle_files, LINEAGE)
    with pytest.raises(BundleError, match=said):
        resolve(lake, tmp_path, name)


def test_digits_that_several_bundles_begin_with_name_none(lake: Lake) -> None:
    for bundle in ("abcdef1", "abcdef2"):
        note(lake, {"kind": "registered", "bundle": bundle, "lineage": {}})
    with pytest.raises(BundleError, match="several bundles begin with"):
        Registry.read(lake).find("abcdef")


def test_a_bundle_whose_manifest_is_gone_is_told(bundle_files: dict[str, bytes], lake: Lake, tmp_path: Path) -> None:
    bundle_id = register(lake, bundle_files, LINEAGE)
    Path(lake.root, "bundles", bundle_id, "manifest.json").unlink()
    with pytest.raises(BundleError, match="gone"):
        resolve(lake, tmp_path, "challenger")


def test_a_change_is_appended_only_to_the_state_that_it_was_decided_on(any_lake: Lake) -> None:
    first, second = Registry.read(any_lake), Registry.read(any_lake)
    assert first.append({"kind": "promotion", "bundle": "a", "aliases": {"champion": "a"}}) is not None
    assert second.append({"kind": "promotion", "bundle": "b", "aliases": {"champion": "b"}}) is None
    assert Registry.read(any_lake).aliases == {"champion": "a"}
    assert ChainedLog(any_lake, "registry").verify() == []


def test_an_entry_without_aliases_moves_none(lake: Lake) -> None:
    Registry.read(lake).append({"kind": "promotion", "bundle": "a", "aliases": {"champion": "a"}})
    note(lake, {"kind": "verdict", "bundle": "b"})
    assert Registry.read(lake).aliases == {"champion": "a"}


@pytest.mark.parametrize("fault", ["edited", "dropped", "cut"])
def test_a_log_that_was_tampered_with_names_no_champion(any_lake: Lake, fault: str) -> None:
    for name in ("a", "b", "c"):
        Registry.read(any_lake).append({"kind": "promotion", "bundle": name, "aliases": {"champion": name}})
    at = f"{any_lake.root}/registry/{2 if fault == 'cut' else 1:09d}.json"
    if fault == "edited":
        with any_lake.fs.open_input_stream(at) as stream:
            content = json.loads(stream.read())
        content["record"]["aliases"]["champion"] = "evil"
        with any_lake.fs.open_output_stream(at) as stream:
            stream.write(json.dumps(content).encode())
    else:
        any_lake.fs.delete_file(at)
    with pytest.raises(PromotionError, match="REGISTRY_TAMPERED"):
        Registry.read(any_lake)


@pytest.mark.parametrize("place", ["disk", pytest.param("S3", marks=pytest.mark.slow)])
def test_of_processes_that_promote_at_once_exactly_one_wins(place: str, request: pytest.FixtureRequest) -> None:
    remote = place == "S3"
    lake: Lake = request.getfixturevalue("s3_lake" if remote else "lake")
    endpoint = request.getfixturevalue("endpoint") if remote else ""
    root = f"s3://{lake.root}" if remote else lake.root
    promoters = {
        name: subprocess.Popen(
            [sys.executable, "-c", _PROMOTER, root, name, endpoint],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("a", "b", "c")
    }  # fmt: skip
    for promoter in promoters.values():
        assert promoter.stdout is not None
        assert promoter.stdout.readline() == "read\n"
    for promoter in promoters.values():
        assert promoter.stdin is not None
        promoter.stdin.write("go\n")
        promoter.stdin.flush()
    told = {name: promoter.communicate(timeout=120)[0].strip() for name, promoter in promoters.items()}
    assert sorted(told.values()) == ["told", "told", "won"]
    [winner] = [name for name, word in told.items() if word == "won"]
    assert Registry.read(lake).aliases == {"champion": winner}
    assert ChainedLog(lake, "registry").verify() == []
