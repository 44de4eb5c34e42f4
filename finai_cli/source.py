"""What ``finai source check`` does and prints: the findings in one table, what cannot be carried, the questions that are open."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.features.registry import build_registry
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.derive import Derived, derive
from finai_assets.ingest.findings import Finding
from finai_assets.ingest.last_month import with_last_month
from finai_assets.ingest.source_check import Schema, SourceReport, check_source
from finai_assets.ingest.tables.guess.document import open_questions
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import Settings, config_folders
from finai_cli.display import display
from finai_cli.output import styled
from finai_resources.errors import FinaiError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

_REASONS = 8  # shown of what cannot be carried; --json tells all


@dataclass(frozen=True)
class Checked:
    """A report with what the data set cannot carry, of how much, and the questions of its file."""

    dataset: str
    report: SourceReport
    derived: Derived
    columns: int
    tasks: int
    questions: list[tuple[str, int, str]]  # file, line, question


def check(
    settings: Settings, dataset: str, profile: str, home: Path | None, *, sample: int | None, console: Console
) -> Checked:
    """Read the source and derive what the data set can carry; no file of the home is written or made."""
    place = Home.choose(dataset, profile, home)
    key = secrets.token_bytes(32)  # tokens of a check are thrown away
    with tempfile.TemporaryDirectory() as scratch, display(console) as show, show("Source", 1, 0) as shown:
        synthetic = settings.dataset.adapter == "synthetic"
        session = LakeSession(Lake.on_disk(place.lake_root if synthetic else Path(scratch) / "lake"))
        settings = _with_end(settings, session.lake, Path(scratch) / "cache")
        report = check_source(
            lambda: open_adapter(settings, key, session), settings, sample=sample, before=_stored_schema(place)
        )
        shown.advance()
    registry, tasks = build_registry(settings), build_tasks(settings)
    questions = [
        (file.name, line, question)
        for file in config_folders().files(f"datasets/{dataset}.yaml")
        for line, question in open_questions(file.read_text(encoding="utf-8"))
    ]
    columns = sum(len(group.declared) for group in registry)
    return Checked(dataset, report, derive(registry, tasks, settings), columns, len(tasks), questions)


def _with_end(settings: Settings, lake: Lake, cache: Path) -> Settings:
    """Return the settings with an end for months that go on; what is wrong with the source, the check itself finds."""
    try:
        return with_last_month(settings, lake, cache, ask=True)[0]
    except FinaiError:
        return settings


def _stored_schema(place: Home) -> Schema | None:
    """Return the columns of the source's tables when the home's last month was loaded, or None where none was."""
    if place.lake_root.startswith("s3://") or not Path(place.lake_root).is_dir():
        return None
    lake = Lake.on_disk(place.lake_root)
    try:
        manifests = lake.manifests(SNAPSHOTS)
    except FinaiError:
        return None  # a damaged home is told by other commands
    return manifests[-1].extra.get("source_schema") if manifests else None


def report_json(found: Checked) -> dict[str, Any]:
    """Return everything for JSON."""
    return {
        "dataset": found.dataset,
        "loads": not found.report.refused,
        "findings": [asdict(finding) for finding in found.report.findings],
        "months": [month.key for month in found.report.months],
        "rows": found.report.rows,
        "cannot_carry": {
            kind: {name: asdict(why) for name, why in getattr(found.derived, kind).items()}
            for kind in ("tables", "groups", "columns", "tasks")
        },
        "questions": [{"file": file, "line": line, "question": question} for file, line, question in found.questions],
    }


def print_report(found: Checked, console: Console) -> None:
    """Print the findings as one table, then what was read, what cannot be carried, and the questions."""
    report = found.report
    if report.findings:
        console.print(findings_table(report.findings))
    if report.months:
        console.print(f"read {len(report.months)} months, {report.months[0]}..{report.months[-1]}", highlight=False)
        for table, rows in report.rows.items():
            console.print(f"  {table}: {sum(rows.values()):,} rows", markup=False, highlight=False)
    console.print(_carried_table(found))
    if found.questions:
        console.print(styled((f"{len(found.questions)} questions of {found.questions[0][0]} are open", "yellow")))
        for _, line, question in found.questions:
            console.print(f"  line {line}: {question}", markup=False, highlight=False)
    if report.refused:
        faults = sum(finding.verdict == "refused" for finding in report.findings)
        console.print(styled(("refused", "bold red"), f": {faults} findings would stop the load; nothing was written"))
    else:
        console.print(styled(("loads", "bold green"), ": nothing would stop it; nothing was written"))


def findings_table(findings: list[Finding]) -> Table:
    """Return a row for each finding: the rule with examples and what to do, where it is, rows and their share."""
    table = Table(title="Findings", title_justify="left", show_lines=True)
    table.add_column("rule, examples, what to do", overflow="fold", ratio=1)
    table.add_column("file", overflow="fold", max_width=16)
    table.add_column("column", overflow="fold", max_width=14)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    for finding in findings:
        colour = "red" if finding.verdict == "refused" else "yellow"
        said: list[str | tuple[str, str]] = [(finding.rule, colour)]
        if finding.examples:
            said += ["\n", ("; ".join(finding.examples), "dim")]
        if finding.fix:
            said.append(f"\n-> {finding.fix}")
        rows = "" if finding.rows is None else f"{finding.rows:,}"
        share = "" if finding.share is None else f"{finding.share:.2%}"
        where = finding.source.replace(f"{os.path.dirname(finding.source)}/", "", 1)  # noqa: PTH120 - it may be no path
        table.add_row(styled(*said), where, finding.column, rows, share)
    return table


def _carried_table(found: Checked) -> Table:
    derived = found.derived
    table = Table(title=f"What {found.dataset} carries", title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("carried", justify="right", no_wrap=True)
    table.add_column("not, and why", overflow="fold")
    reasons = Counter((why.reason, why.fact) for why in derived.columns.values())
    shown = [f"{count}: {reason} ({fact})" for (reason, fact), count in reasons.most_common(_REASONS)]
    if len(reasons) > _REASONS:
        shown.append(f"and {len(reasons) - _REASONS} more reasons (--json)")
    table.add_row("columns", f"{found.columns - len(derived.columns)} of {found.columns}", "\n".join(shown))
    if derived.groups:
        table.add_row("groups lost", str(len(derived.groups)), ", ".join(derived.groups))
    tasks = [f"{name}: {why.reason}" for name, why in derived.tasks.items()]
    table.add_row("tasks", f"{found.tasks - len(derived.tasks)} of {found.tasks}", "\n".join(tasks))
    absent = [f"{name}: {why.reason}" for name, why in derived.tables.items()]
    if absent:
        table.add_row("tables absent", str(len(absent)), "\n".join(absent))
    return table
