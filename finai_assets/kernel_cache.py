"""Where compiled kernels are cached: a folder for each state of the source.

Numba caches a kernel beside its own file and looks at that file alone. A kernel that calls one in another file, or reads its
constants, would go on running the old code after an edit there. So all kernels share a folder named by the hash of every
module that may take part.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

ROOMS = ("features", "ingest", "teacher", "scoring")
PREFIX = "numba-"
VARIABLE = "NUMBA_CACHE_DIR"


def cache_folder(package: Path) -> Path:
    """Return the folder for the package's source as it is now."""
    digest = hashlib.sha256()
    for room in ROOMS:
        path = package / room
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(package).as_posix().encode())
            digest.update(file.read_bytes())
    return package / "__pycache__" / f"{PREFIX}{digest.hexdigest()[:16]}"


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
