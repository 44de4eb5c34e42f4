r"""Ablates feature groups: test skill of LightGBM with a group added to the raw scalars, and with it left out of all.

    python -m studies.groups.ablation --home .finai/synthetic-demo --out benchmarks/out/ablation.jsonl \
        --summary docs/data/ablation.json

Reads the training matrix of a finished run. For each seed, models of every task learn from a sample of train customers, stop on
validation, and are scored on test; nothing is chosen on test. The booster is the one of the teacher's baselines with fewer rows
and rounds: what matters here are differences between column sets, which are all treated alike. Results go to ``--out`` line by
line; a second call goes on where the first one ended.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from finai_assets.evaluation.baselines import lightgbm, prior
from finai_assets.platform import Platform
from finai_assets.scoring.metrics import PRIMARY
from finai_assets.scoring.resampling import all_copies
from finai_assets.settings import Settings, load_settings
from finai_assets.training.matrix import ASSET, DESCRIPTION, TrainingMatrix, load_matrix
from finai_cli.display import Display, display
from finai_cli.output import Terminal
from finai_cli.run import lake_of
from finai_resources.errors import ConfigError, LakeError
from finai_resources.home import Home
from finai_resources.json_text import number, plain, to_json
from finai_resources.whole_file import replace_file
from studies.groups.report import summarise
from studies.groups.skill import BASE, Configuration, configurations, skill

# Rounds end early on validation; these bound the few tasks that would go on for little.
ROUNDS = {"binary": 100, "regression": 100, "multiclass": 40}
LEARNING_RATE = 0.1
PATIENCE = 10
# Above this many columns each tree draws a share of them, as the baseline on all columns does.
WIDE = 200
BOOTSTRAP_DIGITS = 5


@dataclass(frozen=True)
class Study:
    """A run's training matrix, its feature groups, and how models are fitted and scored."""

    matrix: TrainingMatrix
    positions: dict[str, list[int]]
    settings: Settings
    resamples: int

    @classmethod
    def open(cls, order: Order) -> Study:
        """Open the matrix of a home.

        Raises
        ------
        LakeError
            The matrix holds a column that the registry does not know.
        ConfigError
            A task has a name that the matrix does not know.
        """
        settings = load_settings(order.dataset, order.profile)
        platform = Platform.of(settings)
        matrix = load_matrix(lake_of(platform, Home.at(order.home)))
        group_of = {column.name: group.name for group in platform.registry for column in group.declared}
        if unknown := [name for name in matrix.columns if name not in group_of]:
            raise LakeError(f"the registry has no column {unknown[:3]}", where=ASSET, fix="run the main job again")
        positions: dict[str, list[int]] = {group.name: [] for group in platform.registry}
        for position, name in enumerate(matrix.columns):
            positions[group_of[name]].append(position)
        known = [task.name for task in matrix.tasks]
        if strange := set(order.tasks or ()) - set(known):
            raise ConfigError(
                f"there is no task {sorted(strange)}", where="--tasks", fix=f"choose from {', '.join(known)}"
            )
        tasks = tuple(task for task in matrix.tasks if order.tasks is None or task.name in order.tasks)
        baselines = settings.baselines.model_copy(
            update={
                "rounds": settings.baselines.rounds.model_copy(update=ROUNDS),
                "learning_rate": dict.fromkeys(ROUNDS, LEARNING_RATE),
                "early_stopping_rounds": PATIENCE,
                "threads": 1,
            }
        )
        return cls(
            matrix=replace(matrix, tasks=tasks),
            positions={group: found for group, found in positions.items() if found},
            settings=settings.model_copy(
                update={
                    "baselines": baselines,
                    "teacher": settings.teacher.model_copy(update={"max_train_rows": order.rows}),
                }
            ),
            resamples=order.resamples,
        )

    @property
    def configurations(self) -> list[Configuration]:
        """Return the configurations to compare, for the groups that the matrix holds."""
        return configurations(list(self.positions), self.settings.baselines.raw_groups)

    @cached_property
    def copies(self) -> np.ndarray:
        """Return the resamples of the test customers."""
        customers = len(np.unique(self.matrix.customer[self.matrix.rows("test")]))
        return all_copies(customers, self.resamples, self.settings.seed)

    def run(self, configuration: Configuration, seed: int, tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Fit and score some tasks on a configuration's columns; a seed chooses train customers and the booster's draws."""
        columns = sorted(position for group in configuration.groups for position in self.positions[group])
        chosen = replace(self.matrix, tasks=tuple(task for task in self.matrix.tasks if task.name in tasks))
        test, train = self.matrix.rows("test"), self.matrix.rows("train")
        settings = self.settings.model_copy(update={"seed": self.settings.seed + seed})
        predictions = lightgbm(chosen, columns, test, settings, whole=len(columns) <= WIDE)
        for task in chosen.tasks:
            label = self.matrix.labels[task.name]
            found = skill(
                task,
                label[test],
                predictions[task.name],
                prior(task, label[train], test.stop - test.start),
                self.matrix.customer[test],
                self.copies,
            )
            values = [number(value, BOOTSTRAP_DIGITS) for value in found]
            yield {"configuration": configuration.name, "task": task.name, "seed": seed, "skill": values}


@dataclass(frozen=True)
class Order:
    """The inputs of a study, as they are sent to each process."""

    home: Path
    dataset: str
    profile: str
    rows: int
    resamples: int
    tasks: tuple[str, ...] | None


_study: Study | None = None  # each worker process opens the matrix once


def _open_worker(order: Order) -> None:
    global _study  # noqa: PLW0603 # a process pool hands its workers nothing else
    _study = Study.open(order)


def _run_unit(configuration: Configuration, seed: int, tasks: list[str]) -> list[dict[str, Any]]:
    assert _study is not None  # noqa: S101 - the pool's initialiser has set it
    return list(_study.run(configuration, seed, tasks))


class ResultFile:
    """The lines of one study, one JSON object each; the first states the inputs of the study."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        stored = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = stored[: stored.rfind("\n") + 1]  # a killed writer may have left half a line
        self.lines = [json.loads(line) for line in whole.splitlines()]
        if self.lines and self.lines[0] != header:
            raise ConfigError(
                "the file holds results of another matrix or of other options",
                where=str(path),
                fix="name another --out",
            )
        if not self.lines:
            self.lines, whole = [header], json.dumps(header) + "\n"
        if whole != stored:
            replace_file(path, whole.encode())

    @property
    def results(self) -> list[dict[str, Any]]:
        """Return the lines below the header."""
        return self.lines[1:]

    @property
    def done(self) -> set[tuple[str, str, int]]:
        """Return (configuration, task, seed) of the finished runs."""
        return {(line["configuration"], line["task"], line["seed"]) for line in self.results}

    def append(self, lines: list[dict[str, Any]]) -> None:
        """Write finished lines."""
        with self.path.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
        self.lines += lines


def open_units(
    study: Study, seeds: Sequence[int], done: set[tuple[str, str, int]]
) -> list[tuple[Configuration, int, list[str]]]:
    """Return configurations and seeds with the tasks that are not finished, seed by seed, the widest first."""
    width = {group: len(found) for group, found in study.positions.items()}
    ordered = sorted(study.configurations, key=lambda c: -sum(width[group] for group in c.groups))
    units = []
    for seed in seeds:
        for configuration in ordered:
            tasks = [t.name for t in study.matrix.tasks if (configuration.name, t.name, seed) not in done]
            if tasks:
                units.append((configuration, seed, tasks))
    return units


def run_units(
    order: Order, units: list[tuple[Configuration, int, list[str]]], results: ResultFile, show: Display, *, workers: int
) -> None:
    """Run units in processes and write each as it ends."""
    total = sum(len(tasks) for _, _, tasks in units)
    with (
        show("ablation", total, 0) as shown,
        ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_open_worker, initargs=(order,)
        ) as pool,
    ):
        futures = {pool.submit(_run_unit, *unit): unit for unit in units}
        try:
            for future in as_completed(futures):
                configuration, seed, tasks = futures[future]
                results.append(future.result())
                shown.note(f"seed {seed}: {configuration.name}")
                shown.advance(len(tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def facts(study: Study, order: Order, described: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of the summary about data and method."""
    test = study.matrix.rows("test")
    return {
        "dataset": order.dataset,
        "profile": order.profile,
        "months": described["months"],
        "rows": {**described["rows"], "train_sampled": min(order.rows, described["rows"]["train"])},
        "test_customers": len(np.unique(study.matrix.customer[test])),
        "columns": len(study.matrix.columns),
        "metrics": {task.name: PRIMARY[task.kind] for task in study.matrix.tasks},
        "wide": {
            "columns": WIDE,
            "share": study.settings.baselines.column_share,
            "share_of": study.settings.baselines.column_share_of,
        },
        "resamples": order.resamples,
        "confidence": study.settings.metrics.confidence,
        "lightgbm": version("lightgbm"),
    }


def compact(summary: dict[str, Any]) -> str:
    """Return JSON with a list of plain values on one line, so that a change of figures is a short difference."""
    text = to_json(plain(summary), indent=1).decode()
    return re.sub(r"\[[^\[\]{}]+\]", lambda found: " ".join(found[0].split()), text) + "\n"


def render(summary: dict[str, Any]) -> Table:
    """Return the summary as a table."""
    table = Table(title="Test skill by feature group, mean over tasks", title_justify="left")
    for name in ("group", "added to the base", "lost when left out of all", "most on"):
        table.add_column(name)

    def cell(found: dict[str, Any] | None) -> str:
        return "in the base" if found is None else f"{found['gain']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"

    for entry in [*summary["groups"], {"group": f"all over {BASE}", "adds": summary["all_over_base"], "loses": None}]:
        best = (entry["adds"] or entry["loses"])["best"]
        lost = cell(entry["loses"]) if entry["loses"] else ""
        table.add_row(entry["group"], cell(entry["adds"]), lost, f"{best['task']} {cell(best)}")
    return table


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="home of a finished run")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one for each configuration, task and seed")
    parser.add_argument("--summary", type=Path, help="file of the summary")
    parser.add_argument("--tasks", type=lambda text: tuple(text.split(",")), help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000, help="train rows of a seed")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--dataset", help="data set, if the home has no summary.json")
    parser.add_argument("--profile", help="profile, if the home has no summary.json")
    return parser.parse_args()


def order_of(given: argparse.Namespace) -> Order:
    """Return the order; the data set comes from the command line, else from the home's summary."""
    stored = Home.at(given.home).summary
    told = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    return Order(
        given.home,
        given.dataset or told.get("dataset", "synthetic"),
        given.profile or told.get("profile", "demo"),
        given.rows,
        given.resamples,
        given.tasks,
    )


def main() -> None:
    """Run the ablation that the command line asks for."""
    given = parse()
    order = order_of(given)
    study = Study.open(order)
    lake = lake_of(Platform.of(study.settings), Home.at(order.home))
    header = {
        "matrix": lake.manifest(ASSET).content_hash,
        "rows": order.rows,
        "resamples": order.resamples,
        "booster": {"rounds": ROUNDS, "learning_rate": LEARNING_RATE, "patience": PATIENCE, "wide": WIDE},
    }
    results = ResultFile(given.out, header)
    units = open_units(study, range(given.seeds), results.done)
    console = Terminal(stderr=True)
    if units:
        try:
            with display(console) as show:
                run_units(order, units, results, show, workers=given.workers)
        except KeyboardInterrupt:
            raise SystemExit(f"stopped; the same call goes on from {given.out}") from None
    wanted = {task.name for task in study.matrix.tasks}
    lines = [line for line in results.results if line["task"] in wanted and line["seed"] < given.seeds]
    columns = {group: len(found) for group, found in study.positions.items()}
    confidence = study.settings.metrics.confidence
    summary = {
        **facts(study, order, json.loads(lake.read_bytes(ASSET, None, DESCRIPTION))),
        "command": shlex.join(["python", "-m", "studies.groups.ablation", *sys.argv[1:]]),
        **summarise(lines, columns, study.settings.baselines.raw_groups, confidence=confidence),
    }
    Terminal(width=160).print(render(summary))
    if given.summary:
        replace_file(given.summary, compact(summary).encode())


if __name__ == "__main__":
    main()
