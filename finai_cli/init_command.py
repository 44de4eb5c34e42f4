"""``finai init``: looks at files and writes the first YAML of a data set, with what it could not know as questions."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from finai_cli.options import AsJson
from finai_cli.output import Terminal, print_json, styled

DEFAULT_FOLDER = "finai-config"  # where no folder of configuration is named
_NAME = re.compile(r"^[a-z][a-z0-9_-]*$")


def init_command(
    name: Annotated[str, typer.Argument(help="name of the data set: lower-case letters, digits, - and _")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV files of any kind, Parquet, SQLite, DuckDB, or folders of them"),
    ],
    currency: Annotated[str | None, typer.Option(help="currency of all amounts, such as KRW")] = None,
    force: Annotated[bool, typer.Option("--force", help="write over a file of this name")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the YAML, and write nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at files and write DIR/datasets/NAME.yaml, a first draft that names each thing that it could not know.

    DIR is the folder of --config or FINAI_CONFIG, else ./finai-config. Nothing of the files is copied or changed.
    """
    target = _target(name, force=force or dry_run)
    from finai_assets.ingest.tables.guess.draft import draft
    from finai_resources.whole_file import replace_file

    made = draft(name, files, currency=currency)
    if dry_run and not as_json:
        sys.stdout.write(made.text)
        return
    if not dry_run:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, made.text.encode())
    if as_json:
        print_json(
            {
                "file": None if dry_run else str(target),
                "yaml": made.text,
                "tables": [{"name": table, "kind": kind, "rows": rows} for table, kind, rows in made.tables],
                "questions": [{"line": line, "question": question} for line, question in made.questions],
            }
        )
        return
    _tell(name, target, made.tables, len(made.questions))


def _target(name: str, *, force: bool) -> Path:
    """Return the file to write.

    Raises
    ------
    ConfigError
        The name is no name, is that of a shipped data set, or the file is there already.
    """
    from finai_assets.settings.folders import CONFIG_FOLDER, CONFIG_VARIABLE, DATASETS, ConfigFolders
    from finai_resources.errors import ConfigError

    if not _NAME.match(name):
        raise ConfigError(
            f"{name!r} is no name of a data set",
            where="NAME",
            fix="write lower-case letters, digits, - and _, beginning with a letter",
        )
    if name in (shipped := ConfigFolders(CONFIG_FOLDER).datasets()):
        raise ConfigError(
            f"{name!r} is a shipped data set", where="NAME", fix=f"choose a name beside {', '.join(shipped)}"
        )
    folder = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_FOLDER).expanduser().resolve()
    target = folder / DATASETS / f"{name}.yaml"
    if target.exists() and not force:
        raise ConfigError(
            "the file is there already, and nothing was written",
            where=str(target),
            fix="choose another name, look at a new draft with --dry-run, or write over it with --force",
        )
    return target


def _tell(name: str, target: Path, tables: tuple[tuple[str, str, int], ...], questions: int) -> None:
    console = Terminal(soft_wrap=True)
    for table, kind, rows in tables:
        console.print(f"{table}: {rows:,} rows, {_WHAT[kind]}", markup=False)
    console.print(styled(("done", "bold green"), ": "), end="")
    console.print(target, markup=False)
    if questions:
        console.print(
            f"{questions} questions are open: search the file for '# ?', answer each, delete its line", markup=False
        )
    folder = target.parents[1]
    option = "" if os.environ.get("FINAI_CONFIG") == str(folder) and not _given_here() else f" --config {folder}"
    console.print(f"next: finai source check -d {name}{option}", markup=False)


def _given_here() -> bool:
    """Return whether the folder was named on this command line, so that the next one has to name it again."""
    return any(argument.split("=")[0] == "--config" for argument in sys.argv)


_WHAT = {
    "panel": "read as customers by month",
    "transactions": "read as transactions",
    "products": "read as products with the day of their opening",
    "customers": "read as customers",
    "other": "not understood",
}
