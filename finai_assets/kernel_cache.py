"""Where compiled kernels are cached: a folder for each state of the source.

Numba caches a kernel beside its own file and looks at that file alone. A kernel that calls one in another file, or reads its
constants, would go on running the old code after an edit there. So all kernels share a folder named by the hash of every
module that may take part.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from finai_assets.source import files_version

PREFIX = "numba-"
VARIABLE = "NUMBA_CACHE_DIR"


def cache_folder(package: Path) -> Path:
    """Return the folder for the package's source as it is now."""
    return package / "__pycache__" / f"{PREFIX}{files_version(kernel_files(package), package.parent)}"


def kernel_files(package: Path) -> set[Path]:
    """Return the modules that hold kernels, and those of the package that they import, directly or through others.

    Import lines are read as text: this happens whenever the package is imported, and must take no time.
    """
    lines = re.compile(rf"^\s*from ({package.name}[\w.]*) import ([^#\n]*)", re.MULTILINE)
    waiting = [file for file in package.rglob("*.py") if b"numba" in file.read_bytes()]
    found: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        for module, names in lines.findall(file.read_text(encoding="utf-8")):
            base = package.parent.joinpath(*module.split("."))
            waiting += [
                base.with_suffix(".py"),
                base / "__init__.py",
                *(base / f"{n.strip()}.py" for n in names.split(",")),
            ]
    return found


def use_cache(package: Path) -> None:
    """Point numba to the folder, unless the environment names one or the package cannot be written to."""
    if VARIABLE in os.environ:
        return
    folder = cache_folder(package)
    if not folder.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # a read-only installation: its source does not change, and numba's own places serve
            return
        for other in folder.parent.glob(f"{PREFIX}*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
    os.environ[VARIABLE] = str(folder)
