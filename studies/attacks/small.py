"""A fault on the small lake: the step that it spoils is taken again by the altered code, and all blocking checks of it are asked.

``python -m studies.attacks.small FOLDER KIND`` prints the failed checks as JSON; it runs in a copy of the code that holds the
fault. A whole run says the same and takes ten times as long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from finai_assets.asset_graph import MATRIX, SPLITS
from finai_assets.labels.derive import compute_labels
from finai_assets.labels.splits import make_splits
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import sharing_work
from finai_checks.framework.small_lake import VERSION, SmallLake, small_settings
from finai_resources.lake import Lake
from finai_resources.manifest import one_version
from studies.attacks.fault import Fault
from studies.attacks.harness import ROOT, copy_code


def _labels(small: SmallLake) -> list[str]:
    tasks = small.platform.available_tasks
    compute_labels(small.session, small.month, tasks, small.settings, versions=one_version(VERSION))
    return [task.asset for task in tasks]


def _features(small: SmallLake) -> list[str]:
    small.compute(small.month)
    return [group.asset for group in small.platform.registry.available]


def _splits(small: SmallLake) -> list[str]:
    with small.lake.write(SPLITS) as out:
        out.put("splits.json", make_splits(small.settings).to_json())
    return [SPLITS]


def _matrix(small: SmallLake) -> list[str]:
    small.rebuild_matrix()
    return [MATRIX]


STEPS: dict[str, Callable[[SmallLake], list[str]]] = {
    "group": _features,
    "label": _labels,
    "split": _splits,
    "matrix": _matrix,
}


def failed_checks(folder: Path, kind: str) -> list[str]:
    """Take the step of a kind of fault again on the lake in a folder, and return the names of the blocking checks that fail."""
    small = SmallLake(Lake.on_disk(folder), Platform.of(small_settings()))
    assets = STEPS[kind](small)
    asked = [c for c in declared_checks(small.platform) if c.asset in assets and c.blocking and not c.kind.audit]
    failed = []
    for members in sharing_work(asked):
        month = small.month if members[0].months else None
        outcomes = members[0].evaluate_on(small.context(month), [check.asset for check in members])
        failed += [members[0].name for outcome in outcomes.values() if not outcome.passed]
    return sorted(set(failed))


def attack_small(fault: Fault, lake: Path, work: Path, *, code: Path = ROOT) -> list[str]:
    """Plant a fault in copies of the code and of a small lake, and return the blocking checks that fail.

    Raises
    ------
    RuntimeError
        The step itself failed.
    """
    copy_code(code, work / "code")
    for edit in fault.edits:
        edit.apply(work / "code")
    small = SmallLake(Lake.on_disk(lake), Platform.of(small_settings())).copy(work / "lake")
    # The program is this interpreter, and its arguments are this module's.
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "studies.attacks.small", small.lake.root, fault.kind],
        cwd=work / "code", env={**os.environ, "PYTHONPATH": str(work / "code")}, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    found: list[str] = json.loads(ran.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str]) -> int:
    """Print the failed checks."""
    folder, kind = arguments
    sys.stdout.write(json.dumps(failed_checks(Path(folder), kind)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
