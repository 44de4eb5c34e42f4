"""``finai doctor``: examines packages, memory, disk, configuration, keys and lake, and names a fix for each fault."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from finai_cli.options import named_home
from finai_resources.errors import FinaiError
from finai_resources.finding import Finding
from finai_resources.home import Home
from finai_resources.lake_resource import lake_of_home
from finai_resources.survey import survey, told

NEEDED_GIB = {"smoke": 1, "demo": 2, "bench": 20, "full": 60}
PACKAGES = ("dagster", "duckdb", "great-expectations", "lightgbm", "numba", "numpy", "pyarrow", "torch")


def examine(dataset: str, profile: str, home: Path | None, *, deep: bool = False) -> list[Finding]:
    """Return the findings, in the order in which to fix them.

    Parameters
    ----------
    deep
        Whether every byte of the home is verified that something vouches for.
    """
    place = Home.choose(dataset, profile, home)
    findings = [
        _python(),
        *(_package(name) for name in PACKAGES),
        _memory(),
        _disk(place, profile),
        *_config(dataset, profile),
    ]
    findings += [_keys(place), *_lake(place, named=named_home(home), deep=deep)]
    return findings


def _python() -> Finding:
    return Finding("ok", "Python", sys.version.split()[0])  # an older one could not have imported this package


def _package(name: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("wrong", name, "not installed", "run `make install`")


def _memory() -> Finding:
    gib = psutil.virtual_memory().total / 2**30
    if gib < 6:
        return Finding("note", "memory", f"{gib:.1f} GiB", "the demo needs up to 6 GiB; use `--profile smoke`")
    return Finding("ok", "memory", f"{gib:.1f} GiB")


def _disk(place: Home, profile: str) -> Finding:
    existing = next(path for path in (place.root, *place.root.parents) if path.exists())
    free, needed = shutil.disk_usage(existing).free / 2**30, NEEDED_GIB.get(profile, 2)
    if free < needed:
        return Finding(
            "wrong", "disk", f"{free:.1f} GiB free, about {needed} needed", "free space, or set FINAI_HOME elsewhere"
        )
    return Finding("ok", "disk", f"{free:.0f} GiB free at {existing}")


def _config(dataset: str, profile: str) -> list[Finding]:
    from finai_assets.platform import Platform
    from finai_assets.settings import load_settings

    try:
        platform = Platform.of(load_settings(dataset, profile))
    except FinaiError as error:
        return [Finding("wrong", "configuration", error.what, f"{error.where}: {error.fix}")]
    found = (
        f"{dataset}/{profile}: {len(platform.registry.columns)} columns, {len(platform.available_tasks)} of 13 tasks"
    )
    findings = [Finding("ok", "configuration", found)]
    real = platform.settings.dataset.real_customers
    source = os.environ.get("FINAI_SOURCE") or platform.settings.dataset.source
    if platform.settings.dataset.adapter != "synthetic" and not source:
        findings.append(Finding("note", "source", "no folder is named", "pass --source FOLDER or set FINAI_SOURCE"))
    if real and not os.environ.get("FINAI_PSEUDONYM_KEY"):
        findings.append(
            Finding("note", "pseudonym key", "not in the environment: one is made at random and kept in the home",
                    "set FINAI_PSEUDONYM_KEY so that tokens are the same in every home")
        )  # fmt: skip
    return findings


def _keys(place: Home) -> Finding:
    file = place.root / "secrets.json"
    if file.exists() and file.stat().st_mode & 0o077:
        return Finding("wrong", "keys", f"others may read {file}", f"chmod 600 {file}")
    return Finding("ok", "keys", "private file" if file.exists() else "none stored yet")


def _lake(place: Home, *, named: bool, deep: bool) -> list[Finding]:
    if not place.root.exists() and named:
        fix = "name the home with --home or FINAI_HOME, or fill this one with `finai run`"
        return [Finding("wrong", "home", f"there is no folder {place.root}", fix)]
    if not place.lake_root.startswith("s3://") and not Path(place.lake_root).exists():
        return [Finding("ok", "lake", f"{place.lake_root} does not exist yet; `finai run` makes it")]
    try:
        lake = lake_of_home(place).open()
        if deep:
            from finai_checks.home_verification import verify_home

            findings = verify_home(place, lake)
        else:
            findings = told(survey(lake), "there and of its size; `finai doctor --deep` hashes them")
    except FinaiError as error:
        return [Finding("wrong", "lake", error.what, f"{error.where}: {error.fix}")]
    left = Path(place.lake_root) / "_staging"
    if lake.is_local and left.exists() and any(left.iterdir()):
        findings.append(Finding("note", "lake", f"{left} holds unfinished files of a stopped run", f"rm -r {left}"))
    return findings
