"""Text in columns of fixed width as batches of text columns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.ingest.tables.reading.delimited import Dialect, cut_off, named
from finai_assets.ingest.tables.reading.records import EXAMPLES
from finai_assets.ingest.tables.reading.text import Block, line_ends, trimmed
from finai_resources.errors import ConfigError, ContractError
from finai_resources.printable import excerpt


def read_fixed_width(
    blocks: Iterator[Block], widths: tuple[int, ...], dialect: Dialect, shown: str, notes: list[str]
) -> tuple[tuple[str, ...], Iterator[pa.Table]]:
    """Return the names of the columns, and the rows as tables of trimmed text in which a blank value is null.

    A line may be shorter than the widths, where blanks at its end were stripped; it may not be longer.

    Parameters
    ----------
    widths
        Characters of each column, from the left and without gaps.

    Raises
    ------
    ConfigError
        There are not as many names as widths.
    ContractError
        While the rows are iterated: lines are longer than the widths together, or the last line may be cut off.
    """
    ends = tuple(accumulate(widths))
    names = dialect.columns or tuple(f"column_{place}" for place in range(1, len(widths) + 1))
    if dialect.header:
        first = next(blocks, None)
        if first is None:
            raise ContractError("the file is empty, it has no header", where=shown, fix="export the file again")
        line, _, rest = first.text.replace("\r\n", "\n").partition("\n")
        names = dialect.columns or tuple(line[end - width : end] for end, width in zip(ends, widths, strict=True))
        blocks = _chain(Block(first.line + 1, rest), blocks)
    if len(names) != len(widths):
        raise ConfigError(
            f"{len(names)} columns are named and {len(widths)} widths are given",
            where=shown,
            fix="give one width for each column",
        )
    names = named(names, shown)
    return names, _rows(_noted(blocks, dialect, shown, notes), names, widths, ends, shown)


def _chain(first: Block, others: Iterator[Block]) -> Iterator[Block]:
    if first.text:
        yield first
    yield from others


def _noted(blocks: Iterator[Block], dialect: Dialect, shown: str, notes: list[str]) -> Iterator[Block]:
    for block in blocks:
        if not block.text.endswith(("\n", "\r")):
            line = block.line + line_ends(block.text)
            notes.append(cut_off(block.text.splitlines()[-1], line, shown, refuse=dialect.whole_lines))
        yield block


def _rows(
    blocks: Iterator[Block],
    names: tuple[str, ...],
    widths: tuple[int, ...],
    ends: tuple[int, ...],
    shown: str,
) -> Iterator[pa.Table]:
    long_rows, examples = 0, []
    for block in blocks:
        lines = pa.array(block.text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), pa.string())
        over = pc.and_(
            pc.greater(pc.utf8_length(lines), ends[-1]),
            pc.not_equal(pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(lines, ends[-1])), ""),
        )
        if pc.any(over).as_py():
            at = pc.indices_nonzero(over)
            long_rows += len(at)
            examples += [f"(line {block.line + i:,}: {excerpt(lines[i].as_py(), 60)!r})" for i in at.to_pylist()]
            examples = examples[:EXAMPLES]
            continue
        lines = lines.filter(pc.not_equal(pc.utf8_trim_whitespace(lines), ""))
        if len(lines) and not long_rows:
            slices = (pc.utf8_slice_codeunits(lines, end - width, end) for end, width in zip(ends, widths, strict=True))
            yield pa.table({name: trimmed(values) for name, values in zip(names, slices, strict=True)})
    if long_rows:
        rows = "1 line is" if long_rows == 1 else f"{long_rows:,} lines are"
        raise ContractError(
            f"{rows} longer than the {ends[-1]} characters of all columns, for example {'; '.join(examples)}",
            where=f"{shown}, every column",
            fix="correct `widths`, or leave head and footer lines out by `skip_rows` and `skip_footer`",
        )
