"""A digest of a table's rows, the same in whatever order and in however many pieces they come.

Each row becomes 128 bits, which are added up. The digest tells contents apart; it protects against no forger, as the hashes of
the stored files do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_LANES = 2  # of 64 bits
_EXACT = float(1 << 62)  # whole numbers up to here have the same bits as floats and as integers


class RowDigest:
    """The number and the digest of rows that stream by.

    A number counts by its value and a text by its characters, whatever type of Arrow holds them; columns count by name, in
    whatever order.

    >>> whole, pieces = RowDigest(), RowDigest()
    >>> whole.add(pa.table({"customer_id": [1, 2], "amount": [3.0, None]}))
    >>> pieces.add(pa.table({"amount": pa.array([None], pa.float32()), "customer_id": [2]}))
    >>> pieces.add(pa.table({"amount": pa.array([3], pa.int8()), "customer_id": [1]}))
    >>> whole.facts() == pieces.facts()
    True
    """

    def __init__(self) -> None:
        self.rows = 0
        self._sums = [0] * _LANES

    def add(self, table: pa.Table) -> None:
        """Count the rows of a piece."""
        self.rows += table.num_rows
        for lane in range(_LANES):
            row = np.zeros(table.num_rows, np.uint64)
            for name in sorted(table.column_names):
                row = _mix(row + _mix(_hashes(table[name].combine_chunks(), lane) ^ _of_text(name, lane)))
            self._sums[lane] = (self._sums[lane] + int(row.sum(dtype=np.uint64))) % (1 << 64)

    def facts(self) -> dict[str, int | str]:
        """Return ``rows`` and ``digest``, as manifests record them."""
        return {"rows": self.rows, "digest": "".join(f"{part:016x}" for part in self._sums)}


def _hashes(column: pa.Array, lane: int) -> np.ndarray:
    """Return a uint64 for each value [n]; equal values have equal ones."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _hashes(column.dictionary_decode(), lane)
    absent = _of_text("\0null", lane)
    if pa.types.is_null(kind):
        return np.full(len(column), absent, np.uint64)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known, _encoder(kind)(column, lane), absent)


def _encoder(kind: pa.DataType) -> Callable[[pa.Array, int], np.ndarray]:
    t = pa.types
    if t.is_list(kind) or t.is_large_list(kind):
        return _lists
    if t.is_floating(kind):
        return _floats
    if t.is_integer(kind) or t.is_boolean(kind) or t.is_date(kind) or t.is_timestamp(kind):
        return _whole_numbers
    return _texts


def _whole_numbers(column: pa.Array, lane: int) -> np.ndarray:
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    values = pc.fill_null(column.cast(pa.int64(), safe=False), 0)
    return _mix(values.to_numpy().view(np.uint64) ^ _of_text("\0number", lane))


def _floats(column: pa.Array, lane: int) -> np.ndarray:
    values = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy()
    whole = np.isfinite(values) & (np.floor(values) == values) & (np.abs(values) < _EXACT)
    values = np.where(np.isnan(values), np.nan, values)  # one kind of NaN
    bits = np.where(whole, np.where(whole, values, 0).astype(np.int64).view(np.uint64), values.view(np.uint64))
    return _mix(bits ^ _of_text("\0number", lane))


def _lists(column: pa.Array, lane: int) -> np.ndarray:
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    place = np.arange(lengths.sum()) - np.repeat(ends - lengths, lengths)
    elements = _mix(_hashes(column.flatten(), lane) + _mix(place.astype(np.uint64)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(elements, dtype=np.uint64)])
    return _mix(sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64))


def _texts(column: pa.Array, lane: int) -> np.ndarray:
    """Return the hashes of texts, and of values of any other type by the text that stands for them."""
    kind = column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not text:
        column = pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())
    encoded = column.dictionary_encode()
    known = [_of_text(value, lane) for value in encoded.dictionary.to_pylist()]
    at = pc.fill_null(encoded.indices, len(known)).to_numpy()  # an absent text counts as none, whatever stands here
    return np.array([*known, _of_text("", lane)], np.uint64)[at]


def _of_text(text: str, lane: int) -> np.uint64:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, salt=bytes([lane])).digest()
    return np.uint64(int.from_bytes(digest, "big"))


def _mix(values: np.ndarray) -> np.ndarray:
    """Return well-mixed uint64s, one to one (the finaliser of MurmurHash3)."""
    mixed = np.asarray(values, np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return mixed ^ (mixed >> np.uint64(33))
