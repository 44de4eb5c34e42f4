"""Kept code versions are those that would be computed, and hold for one state of the source alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from finai_assets import source
from finai_assets.code_version_cache import KeptVersions
from finai_assets.source import code_version, forget, kept_versions

START = "finai_pack.room:compute"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "finai_pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "room.py").write_text("def compute(x):\n    return x\n\n\ndef other(x):\n    return x\n")
    (folder / "page.html").write_text("page")
    monkeypatch.setattr(source, "ROOT", tmp_path)
    monkeypatch.setattr(source, "PACKAGES", ("finai_pack",))
    forget()
    yield folder
    forget()


def keep() -> Path:
    """Keep what was computed, and forget it in this process."""
    kept = kept_versions()
    kept.write()
    forget()
    return kept.file


def test_a_kept_version_is_the_computed_one_and_is_not_computed_again(package: Path) -> None:
    computed = code_version(START, templates=("finai_pack/page.html",))
    keep()
    assert code_version(START, templates=("finai_pack/page.html",)) == computed
    assert source.reached.cache_info().misses == 0  # the source was not followed


@pytest.mark.parametrize("changed", ["room.py", "page.html", "new.py"])
def test_after_an_edit_nothing_of_what_was_kept_holds(package: Path, changed: str) -> None:
    before = code_version(START, templates=("finai_pack/page.html",))
    keep()
    with (package / changed).open("a") as file:
        file.write("def compute(x):\n    return -x\n")
    after = code_version(START, templates=("finai_pack/page.html",))
    assert (after != before) == (changed != "new.py")  # a module that nothing reaches
    assert after == code_version.__wrapped__(START, templates=("finai_pack/page.html",))


def test_versions_of_a_source_that_was_edited_meanwhile_are_not_kept(package: Path) -> None:
    code_version(START)
    (package / "room.py").write_text("def compute(x):\n    return 2 * x\n")
    assert not keep().exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"source": 1}', b"\xff"])
def test_a_damaged_file_counts_as_absent(package: Path, content: bytes) -> None:
    computed = code_version(START)
    file = keep()
    file.write_bytes(content)
    assert KeptVersions.read(source.ROOT, source.PACKAGES).versions == {}
    assert code_version(START) == computed


def test_where_nothing_can_be_written_versions_are_computed(package: Path) -> None:
    (package / "__pycache__").write_text("a file where the folder would be")
    computed = code_version(START)
    assert not keep().exists()
    assert code_version(START) == computed


def test_the_version_of_a_function_of_another_package_is_not_kept(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere_pack.py").write_text("def formula(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = code_version("elsewhere_pack:formula")
    keep()
    (tmp_path / "elsewhere_pack.py").write_text("def formula(x):\n    return -x\n")
    assert code_version("elsewhere_pack:formula") != before
