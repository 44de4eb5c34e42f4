"""Exports appear whole, aliases point at what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from finai_assets.bundle.registry import export, resolve, set_alias
from finai_resources.errors import BundleError


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


def test_files_without_a_manifest_are_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        export({"rules.json": b"{}"}, tmp_path)


def test_an_alias_points_at_its_bundle_and_the_other_is_untouched(
    bundle_files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = export(bundle_files, tmp_path)
    set_alias(tmp_path, "challenger", folder.name)
    assert resolve(tmp_path, "challenger") == folder
    with pytest.raises(BundleError, match="no bundle is champion"):
        resolve(tmp_path, "champion")


def test_unknown_aliases_bundles_and_damaged_files_are_refused(bundle_files: dict[str, bytes], tmp_path: Path) -> None:
    folder = export(bundle_files, tmp_path)
    with pytest.raises(BundleError, match="no bundle 'absent'"):
        set_alias(tmp_path, "challenger", "absent")
    with pytest.raises(BundleError, match="no alias"):
        set_alias(tmp_path, "best", folder.name)  # type: ignore[arg-type]
    set_alias(tmp_path, "champion", folder.name)
    (folder / "manifest.json").unlink()
    with pytest.raises(BundleError, match="gone"):
        resolve(tmp_path, "champion")
    (tmp_path / "bundles" / "aliases.json").write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        resolve(tmp_path, "champion")
