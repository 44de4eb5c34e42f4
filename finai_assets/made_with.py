"""Provenance of a model: commit, lock file, seed, versions and machine, stored in the manifest of its partition.

The data are the manifest's upstream. An installed package has no commit: the record says so.
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
    """Return the provenance record of a model that is made now, JSON-able.

    Parameters
    ----------
    seed
        Determines every random number of the model.
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
    """Describe the differences of two records that can change a bit of the result; ``here`` is the later record."""
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
    """Return the commit of the folder, and whether the folder is clean."""

    def unknown(why: str) -> dict[str, Any]:
        return {"commit": None, "clean": None, "source_fault": why}

    try:
        if Path(_git(root, "rev-parse", "--show-toplevel").strip()).resolve() != root.resolve():
            return unknown("the packages are no git checkout")  # such as an environment inside a checkout
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
    """Return the properties of this machine that select kernels: another machine may add the same numbers in another order."""
    simd: Mapping[str, Any] = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu_features": sorted([*simd["baseline"], *simd.get("found", [])]),
    }
