"""``finai ablate``: trains variants of the teacher on a home's matrix, resumable, and says what each part is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.training.matrix import ASSET, load_matrix
from finai_checks.gates import CheckGates
from finai_cli.display import display
from finai_cli.output import Terminal, styled
from finai_cli.run import lake_of
from finai_resources.errors import LakeError
from finai_resources.home import Home
from finai_resources.json_text import plain, to_json
from finai_resources.progress import watched
from finai_resources.secrets import SecretStore
from finai_resources.whole_file import replace_file
from studies.teacher.compare import compare
from studies.teacher.findings import interval, signed
from studies.teacher.processes import run_side_by_side
from studies.teacher.runs import Result, Runs, Unit, run_all, units
from studies.teacher.study import Study
from studies.teacher.variants import Variant, chosen_variants

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Order:
    """The options of the command line; None stands for the value of the settings, or for everything."""

    variants: list[str] | None = None
    seeds: int | None = None
    customers: int | None = None
    epochs: int | None = None
    workers: int | None = None


def folder_of(home: Home) -> Path:
    """Return the folder of a home's runs."""
    return home.root / "ablation"


def ablate(platform: Platform, home: Home, console: Console, order: Order, *, dry_run: bool) -> dict[str, Any]:
    """Run the unfinished runs, and return the comparison; an empty one for a dry run.

    Raises
    ------
    LakeError
        The home has no training matrix, or another process runs an ablation there.
    GateError
        The matrix's checks have not passed.
    """
    study = open_study(platform, home, order, console)
    tasks = [task.name for task in study.matrix.tasks]
    variants = chosen_variants(study.settings, tasks, order.variants)
    planned = units(study, variants, order.seeds or study.settings.ablation.seeds)
    stored = Runs(folder_of(home))
    finished = {unit.fingerprint: found for unit in planned if (found := stored.find(unit)) is not None}
    workers = order.workers or study.settings.ablation.workers
    _print_plan(study, variants, planned, finished, stored.others(planned), console, workers)
    if dry_run:
        return {}
    with stored.claim():
        again = partial(_open_again, platform.settings, home, order)
        results = _run(study, planned, stored, finished, console, workers=workers, again=again)
    summary = {**compare(results, variants, study.settings), "study": study.facts()}
    write_out(summary, stored.folder / SUMMARY)
    return summary


def open_study(platform: Platform, home: Home, order: Order, console: Console) -> Study:
    """Open the home's training matrix, or with a sample of its customers to learn from, behind its gates."""
    lake, settings = lake_of(platform, home), platform.settings
    command = f"`finai run --dataset {settings.dataset.name} --profile {settings.profile} --home {home.root}`"
    manifest = lake.find(ASSET)
    if manifest is None:
        raise LakeError("this home has no training matrix", where=str(home.root), fix=f"{command} makes it")
    CheckGates(platform).demand(lake, [(ASSET, None)])
    if not platform.graph.is_current(lake, ASSET):
        told = f" the matrix was made by other code or settings; {command} makes it anew"
        console.print(styled(("note", "yellow"), told))
    if order.epochs is not None:
        teacher = settings.teacher.model_copy(update={"epochs": order.epochs})
        settings = settings.model_copy(update={"teacher": teacher})
    study = Study.of(
        load_matrix(lake), platform.registry, settings, content=manifest.content_hash, customers=order.customers
    )
    for name, reason in study.left_out.items():
        console.print(styled(("note", "yellow"), f" task {name} is left out: {reason}"))
    return study


def _open_again(settings: Settings, home: Home, order: Order) -> Study:
    """Open the study once more, in another process."""
    return open_study(Platform.of(settings, SecretStore(home.root)), home, order, Terminal(quiet=True))


def _run(
    study: Study,
    planned: Sequence[Unit],
    stored: Runs,
    finished: dict[str, Result],
    console: Console,
    *,
    workers: int,
    again: Callable[[], Study],
) -> list[Result]:
    known, todo = dict(finished), [unit for unit in planned if unit.fingerprint not in finished]
    workers = min(workers, len(todo))
    with display(console) as show, show("Ablation", len(planned), len(finished)) as shown:

        def step(label: str, done: int, total: int) -> None:
            epoch, _, _ = label.partition(":")  # the losses of all tasks would not fit beside it
            shown.note(f"{epoch}, step {done}/{total}{_left(todo, known, workers)}")

        def each(unit: Unit, result: Result) -> None:
            first = not known
            known[unit.fingerprint] = result
            shown.note(f"{unit} done{_left(todo, known, workers)}")
            shown.advance()
            if first and (left := remaining(todo, known, workers)) is not None:
                console.print(f"the first run took {spell(_whole(result))}; the others take about {spell(left)}")

        if workers > 1:
            return run_side_by_side(again, planned, stored, workers, each)
        with watched(step):
            return run_all(study, planned, stored, each=each)


def remaining(todo: Sequence[Unit], known: dict[str, Result], workers: int = 1) -> float | None:
    """Return about how many seconds the open runs take, each as its variant did before, or as any did; None before one."""
    if not known:
        return None
    seconds: dict[str, list[float]] = {}
    for result in known.values():
        seconds.setdefault(result["variant"], []).append(_whole(result))
    every = [value for values in seconds.values() for value in values]
    total = 0.0
    for unit in todo:
        if unit.fingerprint not in known:
            like = seconds.get(unit.variant.name, every)
            total += sum(like) / len(like)
    return total / max(1, workers)


def _whole(result: Result) -> float:
    """Return the duration of a whole run."""
    return float(result["seconds"] + result["overhead"])


def spell(seconds: float) -> str:
    """Return a duration in words, such as ``1 h 20 min``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _left(todo: Sequence[Unit], known: dict[str, Result], workers: int) -> str:
    left = remaining(todo, known, workers)
    return f", about {spell(left)} left" if left else ""


def _print_plan(  # the plan's parts
    study: Study,
    variants: Sequence[Variant],
    planned: Sequence[Unit],
    finished: dict[str, Result],
    others: int,
    console: Console,
    workers: int,
) -> None:
    table = Table(title="What is asked", title_justify="left")
    for name in ("variant", "question", "runs", "stored"):
        table.add_column(name, overflow="fold", justify="right" if name in {"runs", "stored"} else "left")
    for variant in variants:
        own = [unit for unit in planned if unit.variant.name == variant.name]
        table.add_row(variant.name, variant.asks, str(len(own)), str(sum(unit.fingerprint in finished for unit in own)))
    console.print(table)
    facts = study.facts()
    rows = ", ".join(f"{split} {count:,}" for split, count in facts["rows"].items())
    console.print(
        f"{facts['customers']:,} customers to learn from; rows: {rows}; {len(study.matrix.tasks)} tasks",
        highlight=False,
    )
    todo = [unit for unit in planned if unit.fingerprint not in finished]
    left = remaining(todo, finished, workers)
    time = "the first run will tell the time" if left is None else f"about {spell(left)}"
    told = f"{len(planned)} runs: {len(finished)} are stored and skipped, {len(todo)} to do"
    console.print(f"{told}; {time}" if todo else told, highlight=False)
    if others:
        console.print(
            f"{others} more stored runs are of other customers, settings, variants or source, and are not used",
            highlight=False,
        )


def result_table(summary: dict[str, Any]) -> Table:
    """Return the comparison: one row for each variant."""
    title = f"Mean skill over {len(summary['tasks'])} tasks, variant less reference ({summary['seeds']} seeds)"
    table = Table(title=title, title_justify="left")
    for name in ("variant", "parameters", "difference", "over seeds", "and customers", "p, corrected", "verdict"):
        table.add_column(name, justify="left" if name in {"variant", "verdict"} else "right", overflow="fold")
    table.add_column("tasks that change", overflow="fold")
    reference = summary["reference"]
    table.add_row("reference", f"{reference['parameters']:,}", f"skill {reference['skill']:.4f}")
    for variant in summary["variants"]:
        mean = variant["mean"]
        changed = [
            f"{name} {signed(task['difference'])}"
            for name, task in variant["tasks"].items()
            if task["verdict"] in {"better", "worse"}
        ]
        table.add_row(
            variant["name"],
            f"{variant['parameters']:,}",
            signed(mean["difference"]),
            interval(mean["low"], mean["high"]),
            interval(mean["low_customers"], mean["high_customers"]),
            "" if mean["p_adjusted"] is None else f"{mean['p_adjusted']:.2g}",
            mean["verdict"],
            ", ".join(changed),
        )
    return table


def as_text(summary: dict[str, Any]) -> str:
    """Return the comparison as JSON."""
    return to_json(plain(summary), indent=1).decode() + "\n"


def write_out(summary: dict[str, Any], path: Path) -> None:
    """Write the comparison where the documentation, or anyone, reads it."""
    replace_file(path, as_text(summary).encode())
