"""Writes docs/faults.md from the results of the loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from studies.faults.loop import CLOCK

TARGET = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
_WHAT = {
    "full": "from the chosen call on, each call that needs room fails with ENOSPC, as on a disk that stays full",
    "broken": "the chosen call fails with EIO, reads too; the later ones succeed",
    "killed": "the process is killed by SIGKILL in the place of the chosen call",
    CLOCK: "the clock is a day ahead, or a day behind: in a whole run, and in one that is killed at its first lease or at its "
    "last rename; the rerun has the right time",
}
_INTRODUCTION = """# Storage faults

Written by `python -m studies.faults` (`make faults`); do not edit.

For each kind of asset one unit of the main job stands (the last month; the group `demographics`; the task `churn_signal`), in a
finished home of the smoke profile. A trial brings that unit up to date with one fault, by the functions of `finai run`: a
Dagster run with the unit's checks, leases, evidence, records. Then a second process does the same without a fault. The trial is
as promised if

- a refusal is one sentence with the asset, the month, the cause and a way out, and no traceback (where the home cannot be
  opened, before the asset has its turn: the file, the cause and a way out);
- the second process ends well, and what it leaves is what an undisturbed run leaves: every file of the partitions to the byte,
  the verdict of every check, an evidence log without a fault, and no lease of a living process.

*Calls* counts what a run asks of the file system below the home (files opened, written, synchronised, renamed, removed, folders
made) and batches of events, as far as the fault can meet it. *Points* counts the calls that were let fail: the first ones of
each name (`fsync lake/evidence/*.json` is a name; `--each N` takes N of each, `--each 0` all), since the five hundredth read of
the evidence log is the same as the first. Training functions that touch no file are computed once and remembered. A kind
without a row was not run yet. The storage of DuckDB's and SQLite's own files is not injected here;
`tests/finai_resources/test_storage_errors.py` fills and closes real disks.
"""


def write_page(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page."""
    TARGET.write_text("\n".join([_INTRODUCTION, *_lines(found)]) + "\n", encoding="utf-8")


def _lines(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for fault in dict.fromkeys(each["fault"] for each in found.values()):
        yield f"- **{fault}**: {_WHAT[fault]}."
    yield ""
    yield "| asset | fault | calls | points | refused | done all the same | killed | not as promised |"
    yield "|---|---|---|---|---|---|---|---|"
    for each in found.values():
        outcomes = [str(each["outcomes"].get(name, 0)) for name in ("refused", "done", "killed")]
        cells = [
            each["case"],
            each["fault"],
            f"{each['calls']:,}",
            str(each["points"]),
            *outcomes,
            str(len(each["wrong"])),
        ]
        yield f"| {' | '.join(cells)} |"
