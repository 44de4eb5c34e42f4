"""``make faults``: let each storage call of each kind of asset fail in turn, and write what came of it.

python -m studies.faults --work DIR --json docs/data/faults.json     # all; DIR/home is made first if it is not there
python -m studies.faults --work DIR --only "raw month" "feature group" --faults full killed
python -m studies.faults --work DIR --each 0                         # every call, not the first two of each name
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finai_cli.output import Terminal
from finai_resources.errors import FinaiError
from finai_resources.json_text import to_json
from studies.faults.cases import cases_of, chosen
from studies.faults.injector import KINDS
from studies.faults.loop import CLOCK, Found, loop, skewed, summary
from studies.faults.page import write_page
from studies.faults.trial import Bench, Case, Ended

CONSOLE = Terminal(soft_wrap=True)
PROFILE = "smoke"


def main(arguments: Sequence[str]) -> int:
    """Run the chosen cases; return 1 where a trial was not as promised, 2 where a name is wrong."""
    parser = argparse.ArgumentParser(prog="python -m studies.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the home that is used up by the trials")
    parser.add_argument("--json", type=Path, help="file of the results; a stopped run goes on from it")
    parser.add_argument("--only", nargs="+", default=[], metavar="KIND", help="these kinds of assets alone")
    parser.add_argument("--faults", nargs="+", default=[*KINDS, CLOCK], choices=[*KINDS, CLOCK])
    parser.add_argument("--each", type=int, default=2, metavar="N", help="calls of one name that fail; 0 for all")
    parser.add_argument("--minutes", type=float, default=60, help="begin no case after so long; the next start goes on")
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except FinaiError as error:
        CONSOLE.print(str(error))
        return 2


def _run(given: argparse.Namespace) -> int:
    results: Path | None = given.json
    found: dict[str, Any] = {}
    if results is not None and results.is_file():
        found = json.loads(results.read_text(encoding="utf-8"))
    bench = _bench(given.work)
    began, late = time.monotonic(), 60 * given.minutes
    for case in chosen(cases_of(bench.platform), given.only):
        names = {fault: f"{case.name}, {fault}" for fault in given.faults}
        todo = [fault for fault, name in names.items() if name not in found or found[name]["wrong"]]
        if not todo or time.monotonic() - began > late:
            continue
        bench.undisturbed(case)  # the first remembers
        wanted = bench.undisturbed(case)
        CONSOLE.print(f"{case.name}: {case.unit.made}: undisturbed in {wanted.seconds:.1f} s")
        for fault in todo:
            if time.monotonic() - began < late:
                found[names[fault]] = _inject(bench, case, fault, given.each, wanted).to_json()
                if results is not None:
                    results.write_bytes(to_json(found, indent=1))
                    write_page(found)
        CONSOLE.print(summary(found))
        bench.restored(case)
    return 1 if any(each["wrong"] for each in found.values()) else 0


def _inject(bench: Bench, case: Case, fault: str, each: int, wanted: Ended) -> Found:
    if fault == CLOCK:
        return skewed(bench, case, wanted=wanted, told=CONSOLE.print)
    kind = next(kind for kind in KINDS if kind == fault)
    return loop(bench, case, kind, each=each, wanted=wanted, told=CONSOLE.print)


def _bench(work: Path) -> Bench:
    """Return the bench on a finished home; the home is made where it is not there."""
    from finai_assets.settings import load_settings
    from finai_cli.options import platform_at
    from finai_cli.run import run_main_job
    from finai_resources.home import Home

    home = Home.at(work / "home")
    platform, _ = platform_at(load_settings("synthetic", PROFILE), home, ask=True)
    if not home.summary.exists():
        run_main_job(platform, home, CONSOLE)
    return Bench(platform, home, work / "remembered")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
