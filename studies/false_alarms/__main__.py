"""``make false-alarms``: run clean panels of different seeds, and count what each check refused.

python -m studies.false_alarms --work FOLDER --json docs/data/false_alarms.json --runs 30
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from finai_cli.output import Terminal
from finai_resources.json_text import to_json
from studies.false_alarms.clean_run import clean_run

FIRST_SEED = 1
CONSOLE = Terminal()


def main(arguments: Sequence[str]) -> int:
    """Make the runs that the file of results does not hold yet; return 0."""
    parser = argparse.ArgumentParser(prog="python -m studies.false_alarms", description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the homes, each removed once it is counted")
    parser.add_argument("--json", type=Path, required=True, help="file of the results; a stopped study goes on from it")
    parser.add_argument("--runs", type=int, default=30, help="clean runs, each of a panel of its own seed")
    parser.add_argument("--audits", type=int, default=30, help="the first runs, whose audits are made too")
    given = parser.parse_args(arguments)
    done = json.loads(given.json.read_text(encoding="utf-8")) if given.json.is_file() else {}
    for seed in range(FIRST_SEED, FIRST_SEED + given.runs):
        if str(seed) in done:
            continue
        home = given.work / f"seed-{seed}"
        found = clean_run(seed, home, audit=seed < FIRST_SEED + given.audits)
        shutil.rmtree(home, ignore_errors=True)
        done[str(seed)] = found.to_json()
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_bytes(to_json(done, indent=1, sort_keys=True) + b"\n")
        alarms = {name: counted["alarms"] for name, counted in done[str(seed)]["checks"].items() if counted["alarms"]}
        CONSOLE.print(
            f"seed {seed}: {found.seconds:.0f} s, {len(found.checks)} checks, refused {alarms or 'nothing'}",
            markup=False,
            soft_wrap=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
