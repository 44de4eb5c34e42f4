"""What a model was made with: commit, lock file, seed, versions and machine; kept in the manifest of its partition.

The data that it was made from are the manifest's upstream. A package that was installed has no commit: it says so.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

EXTRA = "made_with"  # its name in a manifest's ``extra``
LOCK_FILE = "requirements.lock"
LIBRARIES = ("numpy", "scipy", "numba", "pyarrow", "torch", "lightgbm")
_ROOT = Path(__file__).resolve().parent.parent
_SHOWN = 5


def made_with(seed: int, *, root: Path = _ROOT) -> dict[str, Any]:
    """Return the record for a model that is made now, JSON-able.

    Parameters
    ----------
    seed
        From which every random number of the model follows.
    root
        The folder that holds the packages and the lock file.

    Returns
    -------
    dict
        ``commit`` and ``clean`` (None where unknown; ``source_fault`` says why, or what is not committed), ``lock`` (its hash, or
        None), ``seed``, ``versions`` and ``machine``.
    """
    return {
        **_source(root),
        "lock": _lock(root),
        "seed": seed,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "machine": _machine(),
    }


def differences(made: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return in what two records differ that can change a bit of the result, in words; ``here`` is the later one."""
    found = [
        f"{name} {made['versions'].get(name)} (here {value})"
        for name, value in here["versions"].items()
        if made["versions"].get(name) != value
    ]
    for name, value in here["machine"].items():
        stored = made["machine"].get(name)
        if stored != value:
            found.append(f"another {name.replace('_', ' ')}")
    found += ["another lock file"] if made["lock"] != here["lock"] else []
    return found + (["another commit"] if made["commit"] != here["commit"] else [])


def _source(root: Path) -> dict[str, Any]:
    """Return the commit of the folder, and whether nothing in it differs from it."""

    def unknown(why: str) -> dict[str, Any]:
        return {"commit": None, "clean": None, "source_fault": why}

    try:
        if Path(_git(root, "rev-parse", "--show-toplevel").strip()).resolve() != root.resolve():
            return unknown("the packages are no git checkout")  # installed into an environment that lies in one, say
        commit = _git(root, "rev-parse", "HEAD").strip()
        changed = [line[3:] for line in _git(root, "status", "--porcelain").splitlines()]
    except FileNotFoundError:
        return unknown("there is no git here")
    except subprocess.CalledProcessError as error:
        told = (error.stderr or "").strip().splitlines()
        return unknown(f"git says: {told[0] if told else f'exit code {error.returncode}'}")
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    fault = f"not committed: {', '.join(changed[:_SHOWN])}{more}" if changed else ""
    return {"commit": commit, "clean": not changed, "source_fault": fault}


def _git(root: Path, *arguments: str) -> str:
    # The arguments are constants, and git is the one that the user works with.
    command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603


def _lock(root: Path) -> str | None:
    file = root / LOCK_FILE
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    """Return what of this machine chooses between kernels: the same numbers are added in another order on another one."""
    simd: Mapping[str, Any] = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu_features": sorted([*simd["baseline"], *simd.get("found", [])]),
    }
