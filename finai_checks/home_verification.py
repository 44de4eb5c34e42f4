"""Every byte of a home that something vouches for is verified, and the rest is read as what it is.

``finai doctor --deep`` shows the findings, and the job ``verify_home`` fails on those that are wrong.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from finai_assets.bundle.registry import FOLDER as BUNDLES
from finai_assets.bundle.registry import registry_log
from finai_assets.governance.incidents import incident_log
from finai_assets.governance.source_schema import schema_log
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.overrides import overrides_log
from finai_checks.framework.record import ROOT as RECORDS
from finai_resources import objects
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import FinaiError
from finai_resources.finding import Finding
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.progress import report_progress
from finai_resources.secrets import SecretStore
from finai_resources.survey import survey, told
from serving_lambda.bundle import MANIFEST, Read, verified, verified_manifest
from serving_lambda.errors import ServingError

FROM_BACKUP = "restore it from a backup"


def verify_home(home: Home, lake: Lake) -> list[Finding]:
    """Return the findings about a home: its partitions, and what lies beside them. Their progress is reported.

    Raises
    ------
    FinaiError
        The lake cannot be read at all.
    """
    findings = told(survey(lake, deep=True), "hashed")
    steps = (_logs, _records, _stored_bundles, _exported_bundles, _databases, _json_files)
    for done, step in enumerate(steps):
        findings += list(step(home, lake))
        report_progress("other parts of the home verified", done + 1, len(steps))
    return [*findings, _unverified(home)]


def _logs(home: Home, lake: Lake) -> Iterator[Finding]:
    secrets = SecretStore(home.root)
    decided = (incident_log(lake, secrets), schema_log(lake))
    for log in (evidence_log(lake, secrets), overrides_log(lake), registry_log(lake), *decided):
        try:
            faults = log.verify()
        except FinaiError as error:
            yield Finding("wrong", log.name, str(error), FROM_BACKUP)
            continue
        for fault in faults:
            yield Finding("wrong", log.name, f"entry {fault.sequence}: {fault.what}", FROM_BACKUP)
        if not faults:
            yield Finding("ok", log.name, f"{log.head().count:,} entries, each chained to the one before")


def _records(_home: Home, lake: Lake) -> Iterator[Finding]:
    """Compare the records of checks with the entries of the evidence log that tell the same."""
    log, count, wrong = evidence_log(lake, None), 0, 0
    for path in _files_below(lake, f"{lake.root}/{RECORDS}"):
        count += 1
        fault = _fault_of_record(objects.get(lake, path), log)
        if fault:
            wrong += 1
            yield Finding("wrong", "record of a check", f"{path}: {fault}", f"delete it, then `finai run`: {path}")
    if not wrong:
        yield Finding("ok", "records of checks", f"{count:,}, each as the evidence log tells it")


def _fault_of_record(content: bytes | None, log: ChainedLog) -> str:
    try:
        record: dict[str, Any] = json.loads(content or b"")
        if record["sequence"] is None:
            return ""
        entry = log.entry(record["sequence"])
        told = entry.record if entry is not None else {}
        own = record["check"], record["content_hash"], record["passed"], record["recorded_at"]
        chained = told.get("name"), told.get("data_version"), told.get("passed"), entry.recorded_at if entry else None
    except (ValueError, KeyError, TypeError):
        return "it is no record"
    return "" if own == chained else "it says something else than the evidence log"


def _files_below(lake: Lake, folder: str) -> list[str]:
    infos = lake.fs.get_file_info(pafs.FileSelector(folder, recursive=True, allow_not_found=True))
    return sorted(info.path for info in infos if info.type == pafs.FileType.File)


def _stored_bundles(home: Home, lake: Lake) -> Iterator[Finding]:
    folder = f"{lake.root}/{BUNDLES}"
    for name in sorted({path.removeprefix(f"{folder}/").partition("/")[0] for path in _files_below(lake, folder)}):
        fix = "choose another bundle, or restore the folder from a backup"
        yield _bundle(home, f"{folder}/{name}", partial(_object, lake, f"{folder}/{name}"), fix)


def _exported_bundles(home: Home, _lake: Lake) -> Iterator[Finding]:
    for folder in sorted(path for path in home.bundles.glob("*") if path.is_dir()):
        fix = f"rm -r {folder}: it is exported again when it is next asked for"
        yield _bundle(home, str(folder), partial(_file, folder), fix)


def _object(lake: Lake, folder: str, name: str) -> bytes:
    content = objects.get(lake, f"{folder}/{name}")
    if content is None:
        raise FileNotFoundError(name)
    return content


def _file(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


def _bundle(home: Home, place: str, read: Read, fix: str) -> Finding:
    key = SecretStore(home.root).find("signing")
    try:
        manifest = _manifest(read, key)
        for name, stored in manifest["files"].items():
            verified(read, name, stored)
    except ServingError as error:
        return Finding("wrong", "bundle", f"{place}: {error}", fix)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Finding("wrong", "bundle", f"{place}: it cannot be read ({error})", fix)
    signed = "" if key else ", signature not verified: there is no key"
    return Finding("ok", "bundle", f"{place}: {len(manifest['files'])} files{signed}")


def _manifest(read: Read, key: bytes | None) -> Mapping[str, Any]:
    """Return the manifest, whose signature is genuine where there is a key; one of an older schema too."""
    try:
        return verified_manifest(read, key) if key else json.loads(read(MANIFEST))
    except ServingError as error:
        if error.code != "BUNDLE_UNREADABLE":
            raise
        return json.loads(read(MANIFEST))


def _databases(home: Home, _lake: Lake) -> Iterator[Finding]:
    """Let SQLite examine the structure of Dagster's history; of a value in a row nothing vouches."""
    for file in sorted(home.dagster.rglob("*.db")):
        try:
            with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as connection:
                (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            yield Finding(
                "wrong", "Dagster's history", f"{file}: {said}", f"move it away: the lake does not need it: {file}"
            )


def _json_files(home: Home, _lake: Lake) -> Iterator[Finding]:
    for file in (home.summary, home.root / "secrets.json"):
        if not file.exists():
            continue
        try:
            json.loads(file.read_bytes())
        except ValueError as error:
            fix = "`finai run` writes it again" if file == home.summary else FROM_BACKUP
            yield Finding("wrong", file.name, f"{file}: {error}", fix)


def _unverified(home: Home) -> Finding:
    """Return what nothing vouches for."""
    kept = [name for name in ("checkpoints", "finai.duckdb") if (Path(home.root) / name).exists()]
    named = f" and {', '.join(kept)}" if kept else ""
    return Finding(
        "note", "not verified", f"the values in Dagster's history{named}", "none is read by a computation of the lake"
    )
