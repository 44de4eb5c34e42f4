"""Bytes of a text file as blocks of whole lines: uncompressed, decoded by the declared encoding, without head and footer lines.

What lines mean, fields or columns of fixed width, is not known here.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from finai_resources.errors import ConfigError, ContractError
from finai_resources.printable import excerpt

CHUNK = 1 << 22
LONGEST_LINE = 1 << 26
_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "lz4": re.compile(rb"\x04\x22\x4d\x18"),
}
_NO_TEXT = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV"),
    b"PAR1": ("a Parquet file", "declare `format: parquet`, or name it *.parquet"),
    b"ARROW1": ("an Arrow file", "declare `format: arrow`, or name it *.arrow"),
    b"SQLite format 3": ("an SQLite database", "declare `url: sqlite:///...` and `table`"),
}
_CANDIDATES = ("utf-8", "cp949", "cp1250", "cp1252", "cp1251", "iso-8859-2", "shift_jis", "gb18030", "big5", "cp850")
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file; ``line`` is the number of the first of them, from 1."""

    line: int
    text: str


def text_codec(encoding: str, *, where: str) -> codecs.CodecInfo:
    """Return the codec of an encoding.

    Raises
    ------
    ConfigError
        Python knows no such encoding, or it is none of text.
    """
    try:
        found = codecs.lookup(encoding)
    except LookupError:
        found = None
    if found is None or found.incrementaldecoder is None or not getattr(found, "_is_text_encoding", True):
        raise ConfigError(
            f"unknown encoding {excerpt(encoding)!r}",
            where=where,
            fix=f"name one that Python knows, such as {', '.join(_CANDIDATES[:5])}, utf-16, latin-1",
        )
    return found


def open_bytes(stream: pa.NativeFile, shown: str) -> pa.NativeFile:
    """Return the uncompressed content of a file; what it is compressed by is seen in its first bytes, not in its name.

    Raises
    ------
    ContractError
        The file is no text but an archive, a workbook, or another format that is known.
    """
    head = stream.read(16)
    stream.seek(0)
    for magic, (what, fix) in _NO_TEXT.items():
        if head.startswith(magic):
            raise ContractError(f"this is {what}, not a text file", where=shown, fix=fix)
    for codec, packed in _MAGIC.items():
        if packed.match(head):
            return pa.CompressedInputStream(stream, codec)
    return stream


def text_blocks(
    stream: pa.NativeFile, encoding: str, shown: str, *, skip_rows: int = 0, skip_footer: int = 0
) -> Iterator[Block]:
    """Yield the lines of a text file in blocks; each but the last ends with a line end.

    Parameters
    ----------
    stream
        The uncompressed bytes.
    skip_rows, skip_footer
        How many lines are left out at the top, and how many that are not blank at the end.

    Raises
    ------
    ContractError
        Bytes are not of the encoding, the file holds NUL characters, is cut off within its compression, or has fewer lines
        than are to be left out.
    """
    blocks = _head_skipped(_numbered(_whole_lines(_decoded(stream, encoding, shown), shown)), skip_rows, shown)
    return _footer_skipped(blocks, skip_footer, shown) if skip_footer else blocks


def _decoded(stream: pa.NativeFile, encoding: str, shown: str) -> Iterator[str]:
    decoder = text_codec(encoding, where=shown).incrementaldecoder()
    read, lines, began = 0, 0, False
    while True:
        try:
            chunk = stream.read(CHUNK)
        except OSError as error:
            raise ContractError(
                f"the compressed file is cut off or damaged after {read:,} bytes of content ({error})",
                where=shown,
                fix="fetch or export the file again, and compare its size with the original's",
            ) from error
        read += len(chunk)
        try:
            text = decoder.decode(chunk, not chunk)
        except UnicodeDecodeError as error:
            _refuse_bytes(error, encoding, read, lines, shown)
        except UnicodeError as error:
            raise ContractError(
                f"wrong encoding: {error}", where=f"{shown}, line 1", fix="declare `encoding: utf-16-le` or `utf-16-be`"
            ) from error
        if text and not began:
            text, began = text.removeprefix("\ufeff"), True
        if "\0" in text:
            line = lines + 1 + text.count("\n", 0, text.index("\0"))
            raise ContractError(
                f"the file holds NUL characters, the first in line {line:,}",
                where=f"{shown}, line {line:,}",
                fix="a text in utf-16 without a byte-order mark looks like this (declare `encoding: utf-16-le`), and so does "
                "a copy that was not finished; otherwise remove them at the source",
            )
        lines += text.count("\n")
        if text:
            yield text
        if not chunk:
            return


def _refuse_bytes(error: UnicodeDecodeError, encoding: str, read: int, lines: int, shown: str) -> NoReturn:
    """Raise an error that names the first bytes that are not of the encoding, and the encodings that would read their line."""
    data = bytes(error.object)
    before = data[: error.start]
    line = lines + 1 + before.decode(error.encoding, "replace").count("\n")
    position = read - len(data) + error.start
    begin = before.rfind(b"\n") + 1
    end = data.find(b"\n", error.start)
    text = data[begin : end if end >= 0 else len(data)]
    known = codecs.lookup(encoding).name
    others = [name for name in _CANDIDATES if codecs.lookup(name).name != known]
    read_as = {name: decoded for name in others if (decoded := _decodes(text, name))}
    if position < 2 and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        read_as = {"utf-16": data[: len(data) // 2 * 2].decode("utf-16", "replace").partition("\n")[0]}
    would = "; ".join(f"as {name} the line reads {excerpt(read_as[name], 50)!r}" for name in list(read_as)[:5])
    raise ContractError(
        f"wrong encoding: the bytes {data[error.start : error.start + 8]!r} at position {position:,} (line {line:,}) are not "
        f"{encoding}" + (f"; {would}" if would else "; no other common encoding reads that line either"),
        where=f"{shown}, line {line:,}",
        fix="declare the encoding under which the line reads right, such as "
        f"`encoding: {next(iter(read_as), 'latin-1')}`, or export the file as utf-8",
    )


def _decodes(line: bytes, name: str) -> str | None:
    try:
        return line.decode(name).strip("\r\n")
    except UnicodeDecodeError:
        return None


def _whole_lines(texts: Iterator[str], shown: str) -> Iterator[str]:
    rest = ""
    for piece in texts:
        text = rest + piece
        end = text.rfind("\n") + 1 or text.rfind("\r", 0, len(text) - 1) + 1
        if not end and len(text) > LONGEST_LINE:
            raise ContractError(
                f"a line is longer than {LONGEST_LINE:,} characters, for example {excerpt(text)!r}",
                where=shown,
                fix="end each row with a line end",
            )
        if end:
            yield text[:end]
        rest = text[end:]
    if rest:
        yield rest


def _numbered(texts: Iterator[str]) -> Iterator[Block]:
    line = 1
    for text in texts:
        yield Block(line, text)
        line += line_ends(text)


def line_ends(text: str) -> int:
    """Return how many lines end in a text, whatever their ends are: LF, CR LF or CR."""
    returns = text.count("\r")
    return text.count("\n") + (returns - text.count("\r\n") if returns else 0)


def _head_skipped(blocks: Iterator[Block], count: int, shown: str) -> Iterator[Block]:
    left = count
    for block in blocks:
        begin = 0
        while left and begin < len(block.text):
            found = _LINE_END.search(block.text, begin)
            begin, left = found.end() if found else len(block.text), left - 1
        if begin < len(block.text):
            yield Block(block.line + (line_ends(block.text[:begin]) if begin else 0), block.text[begin:])
    if left:
        _too_few(shown, "skip_rows", count)


def _footer_skipped(blocks: Iterator[Block], count: int, shown: str) -> Iterator[Block]:
    held, line, found = "", 1, False
    for block in blocks:
        line = line if held else block.line
        text = held + block.text
        at = _last_lines(text, count)
        found = found or at is not None
        if at:
            yield Block(line, text[:at])
            line += line_ends(text[:at])
        held = text[at or 0 :]
    if not found:
        _too_few(shown, "skip_footer", count)


def _last_lines(text: str, count: int) -> int | None:
    """Return where the last lines that are not blank begin, None if there are fewer."""
    end, left = len(text), count
    while left:
        while end and text[end - 1] in "\r\n":
            end -= 1
        if not end:
            return None
        begin = max(text.rfind("\n", 0, end), text.rfind("\r", 0, end)) + 1
        left -= bool(text[begin:end].strip())
        end = begin
    return end


def _too_few(shown: str, setting: str, count: int) -> NoReturn:
    raise ContractError(
        f"the file has fewer lines than the {count} that `{setting}` leaves out",
        where=shown,
        fix=f"correct `{setting}`",
    )


def trimmed(column: Any) -> Any:
    """Return a column of text without blanks around the values, an empty value as null."""
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
