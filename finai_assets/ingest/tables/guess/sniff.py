"""How a text file is written: its encoding, what lies between its fields, its header, lines above it.

DuckDB's sniffer proposes a dialect from the first lines; what it cannot say (an encoding, columns that blanks align, a header
above text alone) is told here.
"""

from __future__ import annotations

import csv
import gzip
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from finai_assets.ingest.tables.guess.kinds import kind_of
from finai_resources.errors import ContractError

HEAD_BYTES = 1 << 20
_LINES = 200
_HANGUL = re.compile("[가-힣]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The keys of a source that say how its text is written, and what could not be known."""

    keys: dict[str, Any]
    columns: tuple[str, ...]
    questions: tuple[str, ...]


def sniff(path: Path) -> Sniffed:
    """Return how a text file is written.

    Raises
    ------
    ContractError
        The file is empty.
    """
    head = _head(path)
    if not head.strip():
        raise ContractError("the file is empty", where=str(path), fix="export it again")
    encoding, doubt = encoding_of(head)
    text = head.decode(encoding, errors="ignore").removeprefix("\ufeff").replace("\r\n", "\n")
    lines = [line for line in text.split("\n")[:-1][:_LINES] if line.strip()] or [text.strip("\n")]
    keys: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": encoding}
    questions = [doubt] if doubt else []
    found = _dialect(lines)
    if found is None and (found := _aligned(lines)) is None:
        found = {"delimiter": ",", "header": True}
    skip = found.pop("skip_rows", 0)
    rows = [_fields(line, found.get("delimiter")) for line in lines[skip:]]
    header = has_header(rows)
    keys |= {
        "format": "csv",
        **({"skip_rows": skip} if skip else {}),
        "delimiter": found["delimiter"],
        "header": header,
    }
    names = tuple(name.strip() for name in rows[0])
    if not header:
        names = tuple(f"column_{place}" for place in range(1, len(rows[0]) + 1))
        keys["columns"] = list(names)
        questions.append("the file has no header: give the columns their names")
    return Sniffed(keys, names, tuple(questions))


def encoding_of(head: bytes) -> tuple[str, str]:
    """Return the codec of a text's first bytes, and the question that they leave open, or none.

    UTF-8 is told by its own rules, and Korean text in cp949 by what it decodes to. Every other byte table reads every text, so
    that only a person knows.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", ""
    if head[1:200:2].count(0) > 40 or head[0:200:2].count(0) > 40:
        return ("utf-16-le" if head[1:200:2].count(0) > 40 else "utf-16-be"), ""
    if _decodes(head, "utf-8"):
        return "utf-8", ""
    if _decodes(head, "cp949"):
        letters = "".join(_BEYOND_ASCII.findall(head.decode("cp949", errors="ignore")))
        if len(_HANGUL.findall(letters)) >= 0.8 * len(letters):
            return "cp949", ""
    return (
        "cp1252",
        "the encoding cannot be told from the bytes: cp1252 is western; cp1250, iso-8859-2 and others read them too",
    )


def has_header(rows: list[list[str]]) -> bool:
    """Return whether the first row names the columns: no cell of it is a number or a date where those below it are."""
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if len(set(first)) < len(first) or any(not cell.strip() for cell in first[1:]):
        return not any(kind_of([cell.strip()]).name in {"number", "date", "flag"} for cell in first if cell.strip())
    if any(kind_of([cell.strip()]).name in {"number", "date", "flag"} for cell in first):
        return False
    kinds = [kind_of(dict.fromkeys(row[at].strip() for row in below)).name for at in range(len(first))]
    if not below or any(kind != "text" for kind in kinds):
        return True
    return not any(first[at].strip() in {row[at].strip() for row in below} for at in range(len(first)))


def _head(path: Path) -> bytes:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _decodes(head: bytes, codec: str) -> bool:
    for cut in range(4):  # the last character may be cut in two
        try:
            head[: len(head) - cut].decode(codec)
        except UnicodeDecodeError:
            continue
        return True
    return False


def _dialect(lines: list[str]) -> dict[str, Any] | None:
    """Return what DuckDB's sniffer proposes, or None where it sees a single column."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "head.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with duckdb.connect() as connection:
            try:
                row = connection.execute(
                    "SELECT Delimiter, SkipRows, len(Columns) FROM sniff_csv(?, all_varchar = true)", [str(file)]
                ).fetchone()
            except duckdb.Error:
                row = None
    if row is None or row[2] < 2:
        return _agreed(lines)
    return {"delimiter": row[0], "skip_rows": int(row[1])}


def _agreed(lines: list[str]) -> dict[str, Any] | None:
    """Return the sign that occurs equally often in most lines, for files that the sniffer gives up on."""
    for sign in ("\t", ";", "|", ",", "^", "~", "||"):
        counts = Counter(line.count(sign) for line in lines)
        often, agreeing = counts.most_common(1)[0]
        if often and agreeing >= 0.9 * len(lines):
            return {"delimiter": sign}
    return None


def _aligned(lines: list[str]) -> dict[str, Any] | None:
    """Return that runs of blanks lie between the fields, where every line has equally many."""
    counts = {len(line.split()) for line in lines}
    return {"delimiter": "whitespace"} if len(counts) == 1 and counts != {1} else None


def _fields(line: str, delimiter: str | None) -> list[str]:

    if delimiter == "whitespace":
        return line.split()
    if delimiter is None or len(delimiter) != 1:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter))
