"""Delimited text (CSV) as batches of text columns; whatever does not fit its header is refused with its line and text."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from finai_assets.ingest.tables.reading.records import EXAMPLES, NOTHING, scan_records
from finai_assets.ingest.tables.reading.text import LONGEST_LINE, Block, line_ends, trimmed
from finai_resources.errors import ConfigError, ContractError
from finai_resources.printable import excerpt

WHITESPACE = "whitespace"  # the delimiter of tables that runs of blanks align
COMMON = (";", ",", "\t", "|")
_UNIT = "\x1f"  # in place of a delimiter that is not one byte


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the fields of a text file are told from each other.

    Parameters
    ----------
    delimiter
        Any text, ``whitespace``, or None: the one that the first lines agree on.
    quote
        One ASCII character, or None.
    header
        Whether the first line holds the names of the columns.
    columns
        Their names where it does not, or in place of those that it holds.
    whole_lines
        Whether a last line without a line end, which may have been cut off, is refused; it is noted otherwise.
    """

    delimiter: str | None = None
    quote: str | None = '"'
    header: bool = True
    columns: tuple[str, ...] | None = None
    whole_lines: bool = False


@dataclass
class _Broken:
    """Records with another number of fields, counted over the file."""

    rows: int = 0
    records: int = 0
    examples: list[str] | None = None
    at_end: bool = False
    unterminated: bool = False


def read_delimited(
    blocks: Iterator[Block], dialect: Dialect, shown: str, notes: list[str]
) -> tuple[tuple[str, ...], Iterator[pa.Table]]:
    """Return the names of the columns, and the rows as tables of trimmed text in which an empty field is null.

    Parameters
    ----------
    notes
        Gets what a person should know of the file, when the rows have been iterated.

    Raises
    ------
    ContractError
        The file is empty, or its header names a column twice; while the rows are iterated: a record has another number of
        fields, a quote stands where none may, or the last line is cut off.
    """
    first = next(blocks, None)
    while first is not None and not first.text.strip("\r\n"):
        first = next(blocks, None)
    if first is None:
        if dialect.header:
            raise ContractError("the file is empty, it has no header", where=shown, fix="export the file again")
        return named(dialect.columns or (), shown), iter(())
    delimiter = dialect.delimiter or _agreed_delimiter(first, dialect, shown)
    fields = _Fields(delimiter, dialect.quote, shown)
    names, rest = _header(fields, first, dialect, shown)
    return names, _rows(_chain(rest, blocks), fields, names, dialect, shown, notes)


def named(names: Sequence[str], shown: str) -> tuple[str, ...]:
    """Return the names of columns, one without a name called by its position.

    Raises
    ------
    ContractError
        A name occurs twice, or two differ in case alone, which SQL does not tell apart.
    """
    whole = tuple(name.strip() or f"column_{place}" for place, name in enumerate(names, start=1))
    twice = [name for name, count in Counter(name.casefold() for name in whole).items() if count > 1]
    if twice:
        spelled = [name for name in whole if name.casefold() == twice[0]]
        alike = "" if len(set(spelled)) == 1 else f" ({', '.join(map(excerpt, spelled))}: SQL does not tell case apart)"
        raise ContractError(
            f"column occurs twice: {excerpt(spelled[0])}{alike}; the file has {', '.join(map(excerpt, whole))}",
            where=f"{shown}, column {excerpt(spelled[0])}",
            fix="name each column once at the source, or give all names by `columns`",
        )
    return whole


class _Fields:
    """A delimiter and a quote as bytes; a delimiter of another kind is put as one that no field holds."""

    def __init__(self, delimiter: str, quote: str | None, shown: str) -> None:
        if quote is not None and (len(quote) != 1 or not quote.isascii() or quote in "\r\n"):
            raise ConfigError(
                f"the quote {excerpt(quote)!r} is not one ASCII character", where=shown, fix="declare one, or null"
            )
        self.delimiter, self.quote, self.shown = delimiter, quote, shown
        self.single = len(delimiter) == 1 and delimiter.isascii() and delimiter not in "\r\n"
        self.sign = delimiter if self.single else _UNIT
        self.byte, self.quote_byte = ord(self.sign), ord(quote) if quote else NOTHING

    def put(self, text: str, line: int) -> str:
        """Return lines with the delimiter as one byte."""
        if self.single:
            return text
        if _UNIT in text:
            raise ContractError(
                "the file holds the character U+001F, by which a delimiter of several characters is read",
                where=f"{self.shown}, line {line + text.count(chr(10), 0, text.index(_UNIT)):,}",
                fix="remove it at the source, or export with one character between the fields",
            )
        if self.delimiter == WHITESPACE:
            return re.sub(r"[ \t]+", _UNIT, re.sub(r"(?m)^[ \t]+|[ \t]+(?=\r?$)", "", text))
        return text.replace(self.delimiter, _UNIT)

    def back(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return values in which a delimiter inside quotes is itself again."""
        if self.single:
            return column
        return pc.replace_substring(column, _UNIT, " " if self.delimiter == WHITESPACE else self.delimiter)

    def split(self, text: str, line: int, count: int) -> tuple[list[list[str]], int]:
        """Return the fields of the first records that are not blank, and how many characters of the put text they take."""
        put = self.put(text, line)
        lines: list[str] = []
        stream = io.StringIO(put, newline="")

        def kept() -> Iterator[str]:
            for entry in stream:
                lines.append(entry)
                yield entry

        reader = csv.reader(
            kept(),
            delimiter=self.sign,
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=True,
        )
        records: list[list[str]] = []
        try:
            for record in reader:
                if record:
                    records.append(record)
                if len(records) == count:
                    break
        except csv.Error as error:
            raise ContractError(
                f"the first records cannot be split into fields ({error}), for example {excerpt(''.join(lines[:1]))!r}",
                where=f"{self.shown}, line {line + len(lines) - 1:,}",
                fix="declare `quote` and `delimiter` as the file has them",
            ) from error
        return records, sum(map(len, lines))


def _agreed_delimiter(first: Block, dialect: Dialect, shown: str) -> str:
    """Return the one common delimiter that splits the first lines into an equal number of fields, two at least."""
    splits = {}
    for delimiter in COMMON:
        try:
            records, _ = _Fields(delimiter, dialect.quote, shown).split(first.text, first.line, 20)
        except ContractError:
            continue
        counts = {len(record) for record in records}
        if len(counts) == 1 and counts != {1}:
            splits[delimiter] = counts.pop()
    if len(splits) == 1:
        return next(iter(splits))
    head = first.text.splitlines()[0]
    if splits or any(delimiter in head for delimiter in COMMON):
        said = " and ".join(map(repr, splits)) or "no common delimiter"
        raise ContractError(
            f"the delimiter is not declared, and {said} splits the first lines evenly, for example {excerpt(head)!r}",
            where=f"{shown}, line {first.line:,}",
            fix='declare `delimiter: ";"` or the one that the file has; leave lines above the header out by `skip_rows`',
        )
    return COMMON[0]  # one column


def _header(fields: _Fields, first: Block, dialect: Dialect, shown: str) -> tuple[tuple[str, ...], Block]:
    if not dialect.header:
        records, _ = fields.split(first.text, first.line, 1)
        names = dialect.columns or tuple(f"column_{place}" for place in range(1, len(records[0]) + 1))
        return named(names, shown), first
    records, taken = fields.split(first.text, first.line, 1)
    (record,) = records
    other = max(COMMON, key=record[0].count)
    if len(record) == 1 and dialect.delimiter in COMMON and other in record[0]:
        raise ContractError(
            f"wrong delimiter {other!r}, not {fields.delimiter!r} (every row), for example {excerpt(record[0], 60)}",
            where=f"{shown}, column {excerpt(record[0], 40)}",
            fix=f"declare `delimiter: {other!r}`, or export the file with {fields.delimiter!r} between the fields",
        )
    put = fields.put(first.text, first.line)
    rest = put[taken:] if fields.single else _after(first.text, put[:taken])
    return named(dialect.columns or record, shown), Block(first.line + line_ends(put[:taken]), rest)


def _after(text: str, head: str) -> str:
    """Return the text behind as many lines as the head has."""
    lines = line_ends(head) + (not head.endswith(("\n", "\r")))
    stream = io.StringIO(text, newline="")
    for _ in range(lines):
        stream.readline()
    return stream.read()


def _chain(first: Block, others: Iterator[Block]) -> Iterator[Block]:
    if first.text:
        yield first
    yield from others


def _rows(
    blocks: Iterator[Block], fields: _Fields, names: tuple[str, ...], dialect: Dialect, shown: str, notes: list[str]
) -> Iterator[pa.Table]:
    broken = _Broken()
    carry, line = b"", 0
    for block in blocks:
        line = line if carry else block.line
        text = fields.put(block.text, block.line)
        try:
            data = carry + text.encode()
        except UnicodeEncodeError as error:
            raise ContractError(
                f"the text holds half of a character ({error.reason})",
                where=f"{shown}, line {line:,}",
                fix="export as utf-8",
            ) from error
        end, table = _block(data, line, fields, names, broken, shown, final=False)
        if table is not None:
            yield table
        line += _line_count(data[:end])
        carry = data[end:]
        if len(carry) > LONGEST_LINE:
            raise _unclosed(carry, line, fields, shown)
    if carry:
        _, table = _block(carry, line, fields, names, broken, shown, final=True)
        if table is not None and not broken.rows:
            last = carry.splitlines()[-1].decode(errors="replace")
            notes.append(cut_off(last, line + _line_count(carry), shown, refuse=dialect.whole_lines))
            yield table
        broken.unterminated = True
    if broken.rows:
        raise _uneven(broken, len(names), fields, shown)


def _line_count(data: bytes) -> int:
    returns = data.count(b"\r")
    return data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)


def _block(
    data: bytes, line: int, fields: _Fields, names: tuple[str, ...], broken: _Broken, shown: str, *, final: bool
) -> tuple[int, pa.Table | None]:
    """Return how many bytes were whole records, and their rows; None where there are none or a record is broken."""
    end, records, uneven, examples, misquoted, opened = scan_records(
        np.frombuffer(data, dtype=np.uint8), fields.byte, fields.quote_byte, len(names), final
    )
    if misquoted >= 0:
        begin = max(data.rfind(b"\n", 0, misquoted), data.rfind(b"\r", 0, misquoted)) + 1
        at = line + _line_count(data[:begin])
        raise ContractError(
            f"a quoted field goes on behind its closing quote in line {at:,}: "
            f"{excerpt(data[begin : misquoted + 40].decode(errors='replace'))!r}",
            where=f"{shown}, line {at:,}",
            fix=f"double each {fields.quote} inside a quoted field at the source, or declare `quote: null` if it is no quote",
        )
    if final and opened >= 0:
        raise _unclosed(data, line, fields, shown, opened)
    if records:
        broken.at_end = False
    if uneven:
        broken.rows += uneven
        broken.examples = broken.examples or []
        for begin, stop, offset, count in examples[: EXAMPLES - len(broken.examples)]:
            if begin >= 0:
                text = excerpt(data[begin:stop].decode(errors="replace").replace(_UNIT, fields.delimiter), 60)
                broken.examples.append(f"(line {line + offset:,}: {_count(count)}: {text})")
        broken.at_end = uneven <= EXAMPLES and not data[examples[uneven - 1, 1] : end].strip(b"\r\n")
    broken.records += records
    if not records or broken.rows:
        return end, None
    table = pacsv.read_csv(
        pa.py_buffer(data[:end]),
        read_options=pacsv.ReadOptions(column_names=list(names), block_size=end + 1),
        parse_options=pacsv.ParseOptions(
            delimiter=fields.sign, quote_char=fields.quote or False, newlines_in_values=fields.quote is not None
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )
    if table.num_rows != records:
        raise ContractError(
            f"the lines from {line:,} on hold {records:,} records and were parsed into {table.num_rows:,}",
            where=shown,
            fix="this is a fault of the reader: report it with the file's first lines",
        )
    return end, pa.table({name: trimmed(fields.back(table[name])) for name in names})


def _count(fields: int) -> str:
    return "1 field" if fields == 1 else f"{fields} fields"


def _unclosed(data: bytes, line: int, fields: _Fields, shown: str, opened: int = 0) -> ContractError:
    if not opened:
        opened = max(data.find((fields.quote or "").encode()), 0)
    at = line + _line_count(data[:opened])
    text = excerpt(data[opened : opened + 60].decode(errors="replace"))
    return ContractError(
        f"a quoted field that begins in line {at:,} does not end: {text!r}",
        where=f"{shown}, line {at:,}",
        fix=f"the file may be cut off there; or double each {fields.quote} inside a field, or declare `quote: null` if it is "
        "no quote",
    )


def cut_off(last: str, line: int, shown: str, *, refuse: bool) -> str:
    """Return the note that the last line has no line end.

    Raises
    ------
    ContractError
        Such a file is refused.
    """
    what = (
        f"the last line ({line:,}) has no line end, so that it may be cut off within its last value: {excerpt(last)!r}"
    )
    if refuse:
        raise ContractError(what, where=f"{shown}, line {line:,}", fix="fetch or export the file again")
    return what


def _uneven(broken: _Broken, columns: int, fields: _Fields, shown: str) -> ContractError:
    rows = "1 row has" if broken.rows == 1 else f"{broken.rows:,} rows have"
    fix = f"quote fields that contain {fields.delimiter!r}, or export the file again"
    if broken.unterminated and broken.at_end:
        fix = "the file ends in the middle of a line: fetch or export it again"
    elif broken.at_end:
        fix = f"if the last lines are a footer, declare `skip_footer: {broken.rows}`; otherwise {fix}"
    elif broken.rows > broken.records / 2:
        fix = f"if lines stand above the header, leave them out by `skip_rows`; otherwise {fix}"
    return ContractError(
        f"{rows} another number of fields than the header's {columns}, for example {'; '.join(broken.examples or [])}",
        where=f"{shown}, every column",
        fix=fix,
    )
