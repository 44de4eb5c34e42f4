"""The structure of delimited text, checked byte by byte before anything is parsed: where records end, and which are broken."""

from __future__ import annotations

import numba
import numpy as np

EXAMPLES = 3
NOTHING = -1  # in place of the quote: no byte opens a quoted field
_FIELD, _PLAIN, _QUOTED, _CLOSED = 0, 1, 2, 3
_LF, _CR = 10, 13


@numba.njit(cache=True, nogil=True)
def scan_records(  # noqa: C901, PLR0912 - one walk over the bytes, compiled whole
    data: np.ndarray, delimiter: int, quote: int, columns: int, final: bool
) -> tuple[int, int, int, np.ndarray, int, int]:
    """Walk over the records of a block that begins with a record.

    A record ends with LF, CR LF or CR outside quotes; a blank line is none. A quote counts where a field begins with it; within
    such a field a doubled quote stands for one, and only a delimiter or a line end may follow the closing quote.

    Parameters
    ----------
    data : uint8 [bytes]
    delimiter, quote
        One byte each.
    columns
        How many fields a record has.
    final
        Whether the file ends with this block, so that its last record may lack a line end.

    Returns
    -------
    end
        Bytes up to the end of the last whole record.
    records
        Number of records up to there.
    broken
        How many of them have another number of fields.
    examples : int64 [3, 4]
        The first of these: first byte, byte after the last, line from 0, fields.
    misquoted
        First byte after a closing quote that may not stand there, or -1.
    opened
        First byte of a quoted field that the block leaves open, or -1.
    """
    examples = np.full((EXAMPLES, 4), -1, dtype=np.int64)
    state, begin, fields, records, broken, line, first_line, end, opened, i = _FIELD, 0, 1, 0, 0, 0, 0, 0, -1, 0
    size = data.shape[0]
    while i < size:
        byte = data[i]
        newline = byte in (_LF, _CR)
        if state == _QUOTED:
            if byte == quote:
                state = _CLOSED
            elif byte == _LF or (byte == _CR and not (i + 1 < size and data[i + 1] == _LF)):
                line += 1
        elif state == _CLOSED and byte == quote:
            state = _QUOTED
        elif byte == delimiter:
            fields += 1
            state = _FIELD
        elif newline:
            if i > begin:
                records += 1
                if fields != columns:
                    if broken < EXAMPLES:
                        examples[broken, 0], examples[broken, 1] = begin, i
                        examples[broken, 2], examples[broken, 3] = first_line, fields
                    broken += 1
            if byte == _CR and i + 1 < size and data[i + 1] == _LF:
                i += 1
            line += 1
            begin, end, first_line, fields, state = i + 1, i + 1, line, 1, _FIELD
        elif state == _CLOSED:
            return end, records, broken, examples, i, -1
        elif state == _FIELD and byte == quote:
            state, opened = _QUOTED, i
        else:
            state = _PLAIN
        i += 1
    if state == _QUOTED:
        return end, records, broken, examples, -1, opened
    if final and begin < size:
        records += 1
        if fields != columns:
            if broken < EXAMPLES:
                examples[broken, 0], examples[broken, 1] = begin, size
                examples[broken, 2], examples[broken, 3] = first_line, fields
            broken += 1
        end = size
    return end, records, broken, examples, -1, -1
