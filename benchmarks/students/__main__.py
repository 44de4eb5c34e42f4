"""Measures the students on the training matrix, the teacher and the predictions that a run has left in a home.

python -m benchmarks.students ceiling --home HOME --seeds 2 [--write]   # one teacher as the copy of another
python -m benchmarks.students ladder --home HOME [--tasks a,b]          # what each step of distillation is worth
python -m benchmarks.students time --home HOME --rows 100000            # all students, as a run trains them
python -m benchmarks.students budget --home HOME                        # what a copy explains at each size
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.students import ceiling, costs, ladder
from benchmarks.students.home import Home, chosen_tasks
from benchmarks.students.transfer import TransferSet, purged_set_of, transfer_set_of
from finai_assets.settings import Settings
from finai_resources.errors import FinaiError

CONSOLE = Console(width=170)  # the tables are wide, also in a file


def run_ceiling(home: Home, chosen: argparse.Namespace) -> Any:
    """Measure the noise ceiling, and store it where that is asked for."""
    taken = {home.teacher.seed, *(ceiling.seed_of(path) for path in chosen.predictions)}
    more = [seed for seed in range(home.settings.seed, home.settings.seed + 1000) if seed not in taken]
    teachers = ceiling.teachers_of(home, more[: chosen.seeds], chosen.predictions, chosen.threads, chosen.save)
    found = ceiling.measure_ceiling(home.matrix, teachers, home.settings)
    CONSOLE.print(ceiling.render(found))
    if chosen.write:
        CONSOLE.print(f"written: {ceiling.write_ceiling(found, home.settings)}")
    return found.model_dump(mode="json")


def run_ladder(home: Home, chosen: argparse.Namespace) -> Any:
    """Climb the ladder."""
    steps = ladder.steps_named(chosen.steps)
    wanted = {name for step in steps for name in step.transfer}
    sets: dict[str, TransferSet] = {}
    if ladder.PURGED in wanted:
        sets[ladder.PURGED] = purged_set_of(home)
    if ladder.RECOMBINED in wanted and chosen.transfer_share > 0:
        sets[ladder.RECOMBINED] = transfer_set_of(home, chosen.transfer_share)
    records = []
    for record in ladder.climb(
        home.matrix,
        home.predictions,
        _with_threads(home.settings, chosen.threads),
        tasks=chosen_tasks(home.matrix, chosen.tasks),
        seeds=[home.settings.seed + number for number in range(chosen.seeds)],
        steps=steps,
        transfer=sets,
    ):
        CONSOLE.print(ladder.line_of(record))
        records.append(record)
    summary = ladder.summarise(records)
    for split in ("validation", "test"):
        CONSOLE.print(ladder.render(summary, split))
    return {"records": records, "summary": summary}


def run_time(home: Home, chosen: argparse.Namespace) -> Any:
    """Time the students of all tasks, or of some."""
    settings = _with_threads(home.settings, chosen.threads)
    narrowed = replace(home.matrix, tasks=chosen_tasks(home.matrix, chosen.tasks))
    matrix, index = costs.enlarge(narrowed, chosen.rows, settings.seed)
    predictions = {task: values[index] for task, values in home.predictions.items()}
    platform = home.platform
    found = costs.time_students(
        matrix,
        predictions,
        platform.registry,
        settings,
        displayable=platform.displayable,
        rule_columns=platform.rule_columns,
    )
    CONSOLE.print(costs.render_time(found))
    CONSOLE.print(
        f"{found['wall_s']:.0f} s wall (target {found['target_s']:.0f} s on two quiet cores), peak memory "
        f"{found['peak_mib']:,.0f} MiB"
    )
    return found


def run_budget(home: Home, chosen: argparse.Namespace) -> Any:
    """Measure copies at each size."""
    records = costs.budget_curve(
        home.matrix,
        home.predictions,
        _with_threads(home.settings, chosen.threads),
        tasks=chosen_tasks(home.matrix, chosen.tasks),
        displayable=home.platform.displayable,
        rule_columns=home.platform.rule_columns,
    )
    CONSOLE.print(costs.render_budget(records))
    return records


def _with_threads(settings: Settings, threads: int) -> Settings:
    """Return settings whose students take so many threads; where LightGBM counts by rows, their number changes last digits.

    Threads that wait for a busy core spin, and their CPU time counts: where a step's CPU time is told, one thread is right.
    """
    return settings.model_copy(update={"students": settings.students.model_copy(update={"threads": threads})})


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", type=Path, required=True, help="home of a finished run")
    common.add_argument("--dataset", default="synthetic")
    common.add_argument("--profile", default="demo")
    common.add_argument("--json", type=Path, default=None)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[Home, argparse.Namespace], Any]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=run.__doc__)
        added.set_defaults(run=run)
        return added

    one = command("ceiling", run_ceiling)
    one.add_argument("--seeds", type=int, default=0, help="more teachers to train, with other seeds")
    one.add_argument("--threads", type=int, default=None, help="of their training")
    one.add_argument("--predictions", type=Path, nargs="+", default=[], help="<name>_<seed>.npz, saved before")
    one.add_argument("--save", type=Path, default=None, help="NAME.npz: keep them, each as NAME_<seed>.npz")
    one.add_argument("--write", action="store_true", help="store the ceiling among the configs")
    one = command("ladder", run_ladder)
    one.add_argument("--threads", type=int, default=1)
    one.add_argument("--tasks", type=_names, default=None)
    one.add_argument("--steps", type=_names, default=None, help="letters, such as a,d,f")
    one.add_argument("--seeds", type=int, default=3)
    one.add_argument(
        "--transfer-share", type=float, default=1.0, help="recombined rows for each train row; 0: no step i"
    )
    one = command("time", run_time)
    one.add_argument("--rows", type=int, default=100_000)
    one.add_argument("--tasks", type=_names, default=None)
    one.add_argument("--threads", type=int, default=2)
    one = command("budget", run_budget)
    one.add_argument("--threads", type=int, default=1)
    one.add_argument("--tasks", type=_names, default=None)
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def main() -> None:
    """Run one of the benchmarks."""
    parser = _parser()
    chosen = parser.parse_args()
    try:
        found = chosen.run(Home.open(chosen.home, chosen.dataset, chosen.profile), chosen)
    except FinaiError as error:
        parser.exit(1, f"{error}\n")
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
