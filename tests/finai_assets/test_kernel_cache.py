"""Compiled kernels are never older than any source they were made from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from finai_assets.kernel_cache import VARIABLE, cache_folder, kernel_files, use_cache

KERNELS = {
    "features/constants.py": "ONE = {}\n",
    "features/inner.py": "import numba\n\nfrom pack.features.constants import ONE\n\n\n"
    "@numba.njit(cache=True)\ndef inner(x):\n    return x + {}\n",
    "features/outer.py": "import numba\n\nfrom pack.features.inner import inner\n\n\n"
    "@numba.njit(cache=True)\ndef outer(x):\n    return inner(x) * 2\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "pack"
    (root / "features").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    for name, text in KERNELS.items():
        (root / name).write_text(text.format(1))
    return root


def run(package: Path) -> str:
    program = "from pack.features.outer import outer; print(outer(1))"
    environment = {**os.environ, "PYTHONPATH": str(package.parent), VARIABLE: str(cache_folder(package))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def test_an_edit_of_a_called_kernel_in_another_file_takes_effect(package: Path) -> None:
    assert run(package) == "4"
    assert list(cache_folder(package).rglob("*.nbi"))
    (package / "features/inner.py").write_text(KERNELS["features/inner.py"].format(10))
    assert run(package) == "22"


def test_the_folder_follows_the_source_and_older_ones_are_removed(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    use_cache(package)
    first = Path(os.environ[VARIABLE])
    monkeypatch.delenv(VARIABLE)
    (package / "page.py").write_text("CHANGED = 1\n")  # no kernel imports it
    assert cache_folder(package) == first
    (package / "features/inner.py").write_text(KERNELS["features/inner.py"].format(10))
    use_cache(package)
    second = Path(os.environ[VARIABLE])
    assert second.exists()
    assert first != second
    assert not first.exists()


def test_a_constant_that_a_kernel_imports_is_part_of_it(package: Path) -> None:
    names = {file.name for file in kernel_files(package)}
    assert {"inner.py", "outer.py", "constants.py"} <= names
    before = cache_folder(package)
    (package / "features/constants.py").write_text("ONE = 2\n")
    assert cache_folder(package) != before


def test_a_folder_that_the_environment_names_is_left_alone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/elsewhere")
    use_cache(package)
    assert os.environ[VARIABLE] == "/elsewhere"
    assert not cache_folder(package).exists()
