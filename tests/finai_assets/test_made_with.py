"""The record of what a model was made with: right in a checkout, and honest outside of one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from finai_assets.made_with import LIBRARIES, differences, made_with


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init")
    (folder / "requirements.lock").write_text("numpy==2.4.6\n", encoding="utf-8")
    (folder / "code.py").write_text("x = 1\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_a_clean_checkout_tells_its_commit_its_lock_file_and_what_computes(checkout: Path) -> None:
    made = made_with(7, root=checkout)
    assert made["commit"] == git(checkout, "rev-parse", "HEAD")
    assert made["clean"] is True
    assert made["source_fault"] == ""
    assert made["seed"] == 7
    assert len(made["lock"]) == 64
    assert all(made["versions"][name] for name in ("python", *LIBRARIES))
    assert made["machine"]["cpu_features"]


@pytest.mark.parametrize("file", ["code.py", "new.py"])
def test_a_changed_or_a_new_file_makes_the_tree_unclean_and_is_named(checkout: Path, file: str) -> None:
    (checkout / file).write_text("x = 2\n", encoding="utf-8")
    made = made_with(7, root=checkout)
    assert made["clean"] is False
    assert made["source_fault"] == f"not committed: {file}"
    assert made["commit"]


def test_packages_installed_within_another_checkout_have_no_commit(checkout: Path) -> None:
    inside = checkout / "environment" / "packages"
    inside.mkdir(parents=True)
    made = made_with(7, root=inside)
    assert (made["commit"], made["clean"], made["lock"]) == (None, None, None)
    assert made["source_fault"] == "the packages are no git checkout"


def test_a_folder_without_git_and_a_machine_without_git_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made_with(7, root=tmp_path)["source_fault"].startswith("git says: fatal: not a git repository")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert made_with(7, root=tmp_path)["source_fault"] == "there is no git here"


def test_a_checkout_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init")
    made = made_with(7, root=tmp_path)
    assert made["commit"] is None
    assert made["source_fault"].startswith("git says: fatal")


def test_differences_name_versions_machine_lock_and_commit(checkout: Path) -> None:
    here = made_with(7, root=checkout)
    assert differences(here, here) == []
    there = {
        **here,
        "versions": {**here["versions"], "torch": "1.0"},
        "machine": {**here["machine"], "cpu_features": ["X"]},
        "lock": None,
        "commit": None,
    }
    found = differences(there, here)
    assert found[0].startswith("torch 1.0 (here ")
    assert found[1:] == ["another cpu features", "another lock file", "another commit"]
