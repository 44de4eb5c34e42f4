"""``make attack``: plant every fault of the table, and write what stopped each.

python -m studies.attacks --home HOME                     # all; HOME/smoke and HOME/demo are made first if they are not there
python -m studies.attacks --home HOME --short             # the ten of the test suite
python -m studies.attacks --home HOME --only future-in-demographics gap-ignored
python -m studies.attacks --list
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from finai_cli.output import Terminal
from finai_resources.errors import FinaiError
from finai_resources.json_text import to_json
from studies.attacks.fault import Fault, by_name
from studies.attacks.harness import FOUND, Found, attack, clean_home
from studies.attacks.planted import FAULTS

CONSOLE = Terminal()


def main(arguments: Sequence[str]) -> int:
    """Run the chosen attacks; return 1 where one was not caught by a check that the table names."""
    parser = argparse.ArgumentParser(prog="python -m studies.attacks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--home", type=Path, help="folder of the clean homes, one for each profile, made first if they are not there"
    )
    parser.add_argument("--json", type=Path, help="file of the results; a stopped run goes on from it")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="the faults of these names alone")
    parser.add_argument("--kind", help="the faults of one kind alone")
    parser.add_argument("--short", action="store_true", help="the ten that every test run repeats")
    parser.add_argument("--list", action="store_true", help="print the table, and attack nothing")
    given = parser.parse_args(arguments)
    try:
        chosen = [fault for fault in by_name(FAULTS, given.only) if not given.kind or fault.kind == given.kind]
        if not given.only:
            chosen = [f for f in FAULTS if (not given.kind or f.kind == given.kind) and (f.short or not given.short)]
        if given.list:
            CONSOLE.print(listed(chosen))
            return 0
        if given.home is None:
            parser.error("--home is needed")
        return _attack(chosen, given.home, given.json)
    except FinaiError as error:
        CONSOLE.print(str(error), markup=False)
        return 2


def _attack(chosen: Sequence[Fault], home: Path, results: Path | None) -> int:
    done = {} if results is None or not results.is_file() else json.loads(results.read_text(encoding="utf-8"))
    chosen = sorted(chosen, key=lambda fault: fault.profile, reverse=True)  # those of the small home first
    for profile in dict.fromkeys(fault.profile for fault in chosen):
        idle = clean_home(home / profile, profile)
        CONSOLE.print(f"clean home {home / profile}: a run with nothing to do takes {idle:.0f} s")
    work = home / "attacked"
    for number, fault in enumerate(chosen, start=1):
        if fault.name in done and done[fault.name]["outcome"] in FOUND:
            continue
        found = attack(fault, home / fault.profile, work)
        done[fault.name] = found.to_json(fault)
        _print(number, len(chosen), fault, found)
        if results is not None:
            results.write_bytes(to_json(done, indent=1))
    missed = [fault.name for fault in chosen if done[fault.name]["outcome"] not in FOUND]
    CONSOLE.print(
        f"{len(chosen) - len(missed)} of {len(chosen)} caught" + (f"; not: {', '.join(missed)}" if missed else "")
    )
    return 1 if missed else 0


def _print(number: int, count: int, fault: Fault, found: Found) -> None:
    by = ", ".join(found.checks) or found.said.splitlines()[-1][:200]
    line = f"{number}/{count} {fault.name}: {found.outcome} in {found.seconds:.0f} s by {by}"
    CONSOLE.print(line, markup=False, soft_wrap=True)


def listed(faults: Sequence[Fault]) -> Table:
    """Return the table of faults."""
    table = Table("fault", "kind", "home", "what", "caught by")
    for fault in faults:
        table.add_row(fault.name, fault.kind, fault.profile, fault.what, ", ".join(fault.caught_by))
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
