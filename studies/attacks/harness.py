"""Plants a fault in a copy of the code and of a finished home, lets ``finai run`` go on, and says what stopped it.

The home is finished before, so that a run computes what the fault has made stale and what follows from it. That an edit makes its
assets stale at all is part of the proof: a fault that changes nothing stored is told as *not run*.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from studies.attacks.fault import Fault

ROOT = Path(__file__).resolve().parents[2]
CODE = ("finai_assets", "finai_checks", "finai_cli", "finai_resources", "serving_lambda", "studies", "configs")
LIMIT_S = 1800
RUN, AUDIT = ("run",), ("recheck", "--audit", "--json")
_ENTRY = "import sys; from finai_cli.main import run_cli\nif __name__ == '__main__':\n    sys.exit(run_cli())\n"
_NAMED = re.compile(r"\bC\d\d ([a-z_0-9]+) on ([\w./]+(?:@[\d-]+)?)")

Outcome = Literal["caught", "repaired", "caught by another", "not stopped", "not run", "crashed"]
FOUND: tuple[Outcome, ...] = ("caught", "repaired")


@dataclass(frozen=True, slots=True)
class Found:
    """How an attacked run ended.

    Parameters
    ----------
    outcome : Outcome
        ``repaired``: told in the words of the table, and computed again; ``caught by another``: stopped, by a check that the
        table does not name; ``crashed``: stopped without naming a check.
    checks : tuple of str
        Names of the checks in the error, each once.
    seconds : float
        Wall time until the run ended.
    said : str
        The end of what the run wrote.
    """

    name: str
    outcome: Outcome
    checks: tuple[str, ...]
    seconds: float
    said: str

    def to_json(self, fault: Fault) -> dict[str, Any]:
        """Return the record beside what was planted, as plain values; what the run said names paths and stays out."""
        return {
            "kind": fault.kind,
            "profile": fault.profile,
            "what": fault.what,
            "outcome": self.outcome,
            "checks": list(self.checks),
            "seconds": round(self.seconds),
        }


def clean_home(home: Path, profile: str, *, code: Path = ROOT) -> float:
    """Finish the main job in a home with unaltered code, and return the seconds that a run takes which has nothing to do.

    Raises
    ------
    RuntimeError
        The clean run itself is refused: then no attack proves anything.
    """
    for _ in range(2):
        ran, seconds = _run(code, home, profile, anchors=home.parent / f"{home.name}-anchors")
        if ran.returncode:
            raise RuntimeError(f"the clean run ended with {ran.returncode}: {_end(ran)}")
    return seconds


def attack(fault: Fault, home: Path, work: Path, *, code: Path = ROOT) -> Found:
    """Plant a fault in copies below ``work``, run, and remove the copies.

    Parameters
    ----------
    work
        A folder for one attack at a time; the kernels that an attack leaves as they are stay compiled there for the next.

    Raises
    ------
    ConfigError
        The fault no longer fits the code.
    """
    # Each attacked home lies in the same place and is a copy of the same lake: the anchors of the one before would tell of it.
    copy, spoiled, anchors = work / "code", work / fault.profile, work / "anchors"
    try:
        copy_code(code, copy)
        compiled = any("numba" in (copy / edit.file).read_text(encoding="utf-8") for edit in fault.edits)
        for edit in fault.edits:
            edit.apply(copy)
        shutil.copytree(home, spoiled)
        if fault.spoil is not None:
            fault.spoil(spoiled)
        kernels = copy / "kernels" if compiled else work / "kernels"
        ran, seconds = _run(copy, spoiled, fault.profile, kernels=kernels, anchors=anchors)
        if fault.audit and ran.returncode == 0:
            ran, more = _run(copy, spoiled, fault.profile, kernels=kernels, anchors=anchors, command=AUDIT)
            seconds += more
    finally:
        for folder in (copy, spoiled, anchors):
            shutil.rmtree(folder, ignore_errors=True)
    return judge(fault, ran, seconds)


def copy_code(source: Path, target: Path) -> None:
    """Copy what a run imports and reads."""
    target.mkdir(parents=True)
    for name in CODE:
        shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy2(source / name, target / name)


def judge(fault: Fault, ran: subprocess.CompletedProcess[str], seconds: float) -> Found:
    """Say what stopped a run, from its exit code and its last words."""
    said = _end(ran)
    checks = _refusing(ran)
    in_words = [words for words in fault.caught_by if " " in words]
    if ran.returncode == 0 and any(words in ran.stdout for words in in_words):
        outcome: Outcome = "repaired"
    elif ran.returncode == 0:
        idle = "0 runs" in ran.stdout or _did_nothing(ran.stdout)
        outcome = "not run" if idle else "not stopped"
    elif set(fault.caught_by) & set(checks) or any(words in said for words in in_words):
        outcome = "caught"
    else:
        outcome = "caught by another" if checks else "crashed"
    return Found(fault.name, outcome, checks, seconds, said)


def _refusing(ran: subprocess.CompletedProcess[str]) -> tuple[str, ...]:
    """Return the checks that a run's error names, or the blocking ones that failed in an audit, each once."""
    if ran.stdout.startswith("["):
        rows = json.loads(ran.stdout)
        return tuple(dict.fromkeys(row["name"] for row in rows if row["blocking"] and not row["passed"]))
    return tuple(dict.fromkeys(name for name, _ in _NAMED.findall(ran.stderr + ran.stdout)))


def _did_nothing(output: str) -> bool:
    ends = re.findall(r": ends, (\d+)/\d+, .*?(?:(\d+) up to date)?$", output, re.MULTILINE)
    return bool(ends) and all(done == skipped for done, skipped in ends if done != "0")


def _run(
    code: Path, home: Path, profile: str, *, anchors: Path, kernels: Path | None = None, command: Sequence[str] = RUN
) -> tuple[subprocess.CompletedProcess[str], float]:
    started = time.perf_counter()
    entry = code / "attacked_run.py"
    entry.write_text(_ENTRY, encoding="utf-8")
    words = [sys.executable, str(entry), *command, "--dataset", "synthetic", "--profile", profile, "--home", str(home)]
    try:
        # The program is this interpreter, and its arguments are this module's.
        ran = subprocess.run(  # noqa: S603
            words,
            cwd=code,
            env=_environment(code, anchors, kernels),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        entry.unlink(missing_ok=True)
    return ran, time.perf_counter() - started


def _environment(code: Path, anchors: Path, kernels: Path | None) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FINAI_", "DAGSTER_"))}
    shared = {} if kernels is None else {"NUMBA_CACHE_DIR": str(kernels)}
    return {**kept, **shared, "PYTHONPATH": str(code), "COLUMNS": "400", "FINAI_ANCHORS": str(anchors)}


def _end(ran: subprocess.CompletedProcess[str]) -> str:
    return (ran.stdout[-600:] + ran.stderr)[-3000:].strip()
