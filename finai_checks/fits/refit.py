"""C12, re-fit: a fit gives the stored parameters, bit for bit, when everything that it must not see is garbage.

Feature states are fitted anew from a view of the lake in which the raw months after train are garbage. The view also records what
was read, so that a fit which reads such a month fails even where the garbage does not show in its result. The lake that is
examined is only read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.fit import fit_states, load_states
from finai_assets.features.inputs import SNAPSHOTS, TRANSACTIONS
from finai_assets.features.registry import Group
from finai_assets.features.state import GroupState
from finai_assets.platform import Platform
from finai_checks.framework.check import CheckOutcome
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest
from finai_resources.months import Month

RAW = (SNAPSHOTS, TRANSACTIONS)
_NAMED = 5  # differing parameters that a reason names
_GARBAGE_ROWS = 20_000  # of a partition: enough to change every fit that reads them


class GarbageLake(Lake):
    """A read-only lake in which some months are taken from another lake.

    Parameters
    ----------
    lake
        The lake that is examined.
    garbage
        Where the partitions of ``months`` lie; one that is absent there does not exist.
    months : collection of str
    """

    def __init__(self, lake: Lake, garbage: Lake, months: Collection[str]) -> None:
        super().__init__(lake.fs, lake.root, s3_client=lake.s3_client)
        self._lake, self._garbage, self._months = lake, garbage, frozenset(months)

    def _of(self, partition: str | None) -> Lake:
        return self._garbage if partition in self._months else self._lake

    def find(self, asset: str, partition: str | None = None) -> Manifest | None:
        """Return the manifest of a partition as this view holds it."""
        return self._of(partition).find(asset, partition)

    def parquet_paths(self, manifest: Manifest, *, verified: bool = True) -> tuple[Any, list[str]]:
        """Return where the Parquet files of a partition lie, as this view holds them."""
        return self._of(manifest.partition).parquet_paths(manifest, verified=verified)

    def open_parquet(self, manifest: Manifest) -> list[Any]:
        """Open the Parquet files of a partition as this view holds them."""
        return self._of(manifest.partition).open_parquet(manifest)

    def read_bytes(self, asset: str, partition: str | None, role: str) -> bytes:
        """Read one stored file as this view holds it."""
        return self._of(partition).read_bytes(asset, partition, role)

    def local_path(self, asset: str, partition: str | None, role: str, *, cache: Path | None = None) -> Path:
        """Return a path for a stored file as this view holds it."""
        return self._of(partition).local_path(asset, partition, role, cache=cache)

    def write(self, asset: str, partition: str | None = None, **_options: Any) -> NoReturn:
        """Refuse to write."""
        raise LakeError("a view of the lake writes nothing", where=asset, fix="write to the lake itself")

    def delete(self, asset: str, partition: str | None = None) -> NoReturn:
        """Refuse to delete."""
        raise LakeError("a view of the lake deletes nothing", where=asset, fix="delete from the lake itself")


@contextmanager
def garbage_after(
    session: LakeSession, assets: Sequence[str], last: Month, *, owners: np.ndarray, seed: int
) -> Iterator[LakeSession]:
    """Yield a view of the lake in which the stored months of some assets that come after ``last`` are garbage.

    Of other assets such months do not exist in the view.

    Parameters
    ----------
    owners : int64 [n]
        Customers to whom the garbage is given, so that a fit that reads it cannot overlook it.
    """
    rng = np.random.default_rng([seed, last.ordinal])
    later: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="finai-refit-") as folder:
        garbage = Lake.on_disk(folder, compression="none")
        for asset in assets:
            for key in session.lake.partitions(asset):
                if Month.parse(key) > last:
                    later.add(key)
                    with garbage.write(asset, key) as out:
                        out.write(garbage_like(_first_rows(session.lake, asset, key), owners, rng))
        yield LakeSession(GarbageLake(session.lake, garbage, later))


def _first_rows(lake: Lake, asset: str, partition: str) -> pa.Table:
    """Return the first rows of a partition; only its first row group is read."""
    file = lake.open_parquet(lake.manifest(asset, partition))[0]
    table = file.read_row_group(0) if file.metadata.num_row_groups else file.schema_arrow.empty_table()
    return table.slice(0, _GARBAGE_ROWS)


def garbage_like(table: pa.Table, owners: np.ndarray, rng: np.random.Generator) -> pa.Table:
    """Return a table of the same schema with other values.

    Its rows belong to ``owners``, ascending. Numbers are redrawn from most of what their type can hold, flags are negated,
    instants and dates stay (so that they lie in their month), all other values are shuffled over the rows.
    """
    columns = [_others(field, column, owners, rng) for field, column in zip(table.schema, table.columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _others(field: pa.Field, column: pa.ChunkedArray, owners: np.ndarray, rng: np.random.Generator) -> pa.ChunkedArray:
    rows = len(column)
    if field.name == "customer_id":
        values = np.sort(np.resize(rng.permutation(owners), rows))
    elif pa.types.is_integer(field.type):
        values = rng.integers(1, np.iinfo(field.type.to_pandas_dtype()).max // 2, rows)
    elif pa.types.is_floating(field.type):
        values = rng.normal(0.0, 1e12, rows)
    elif pa.types.is_boolean(field.type):
        return pc.invert(column)
    elif pa.types.is_temporal(field.type):
        return column
    else:
        return column.take(pa.array(rng.permutation(rows)))
    return pa.chunked_array([pa.array(values).cast(field.type)])


def refit_is_equal(
    stored: Mapping[str, np.ndarray],
    again: Mapping[str, np.ndarray],
    *,
    rounded: Collection[str] = (),
    rounding: float = 0.0,
) -> CheckOutcome:
    """Return whether parameters that were fitted again equal the stored ones bit for bit.

    Parameters
    ----------
    stored, again
        Arrays by name.
    rounded
        Names whose floats may lie apart by ``rounding``, relative to the stored value (or to 1, if that is larger).
    rounding
    """
    values = sum(array.size for array in stored.values())
    if not values:
        return CheckOutcome.no_evidence()
    table = [
        {"parameter": name, **difference}
        for name in dict.fromkeys([*stored, *again])
        if (difference := _difference(stored.get(name), again.get(name), rounding if name in rounded else 0.0))
    ]
    named = [f"{row['parameter']} ({row['what']})" for row in table[:_NAMED]]
    more = f", and {len(table) - _NAMED} more" if len(table) > _NAMED else ""
    reason = (
        f"{len(table)} of {len(stored)} parameters differ after the re-fit: {', '.join(named)}{more}" if table else ""
    )
    return CheckOutcome(not table, reason, values, {"parameters": len(stored), "differing": len(table)}, table)


def _difference(stored: np.ndarray | None, again: np.ndarray | None, rounding: float) -> dict[str, Any] | None:
    """Return how two arrays differ, None where they do not."""
    if stored is None or again is None:
        where = "it is not stored" if stored is None else "the re-fit does not give it"
        return {"what": where, "values": 0, "largest_deviation": None}
    texts = stored.dtype.kind == again.dtype.kind == "U"
    if texts and (alone := sorted(set(stored.ravel().tolist()) - set(again.ravel().tolist()))):
        what = f"{len(alone)} of {stored.size} values are missing after the re-fit: {', '.join(alone[:_NAMED]):.120}"
        return {"what": what, "values": len(alone), "largest_deviation": None}
    if stored.shape != again.shape or (stored.dtype != again.dtype and not texts):
        what = f"stored {stored.dtype}{list(stored.shape)}, fitted again {again.dtype}{list(again.shape)}"
        return {"what": what, "values": 0, "largest_deviation": None}
    left, right = np.ravel(stored), np.ravel(again)
    differing = np.flatnonzero(_wrong(left, right, rounding))
    if not len(differing):
        return None
    what, largest = f"{len(differing)} of {stored.size} values differ", None
    if np.issubdtype(stored.dtype, np.number):
        with np.errstate(invalid="ignore"):  # an infinity less an infinity says nothing of the size
            deviation = np.abs(left[differing].astype(np.float64) - right[differing].astype(np.float64))
        known = deviation[~np.isnan(deviation)]
        largest = float(known.max()) if len(known) else None
        what += "" if largest is None else f", by up to {largest:.3g}"
    else:
        what += f", first {left[differing[0]]!s:.60} and {right[differing[0]]!s:.60}"
    return {"what": what, "values": len(differing), "largest_deviation": largest}


def _wrong(stored: np.ndarray, again: np.ndarray, rounding: float) -> np.ndarray:
    """Return which values differ, bool [n]."""
    if not np.issubdtype(stored.dtype, np.floating):
        return np.asarray(stored != again)
    if rounding:
        return ~np.isclose(again, stored, rtol=0.0, atol=rounding * np.maximum(1.0, np.abs(stored)), equal_nan=True)
    left, right = (np.ascontiguousarray(array).view(f"u{array.itemsize}") for array in (stored, again))
    return np.asarray(left != right)


def refit_states(session: LakeSession, platform: Platform, groups: Sequence[Group]) -> dict[str, CheckOutcome]:
    """Fit some groups again while the raw months after train are garbage, and compare with the stored states.

    Returns
    -------
    dict
        An outcome for each group; ``n`` counts compared values of parameters and of the train reference.
    """
    settings, last = platform.settings, platform.splits.train[-1]
    stored = load_states(session, groups)
    owners = session.lake.read(SNAPSHOTS, last.key, columns=["customer_id"])["customer_id"].to_numpy()
    with garbage_after(session, RAW, last, owners=owners, seed=settings.seed) as view:
        states = fit_states(view, settings, platform.registry, platform.splits.train, groups=list(groups))
        outside = later_months(view.seen, last)
    return {
        group.name: refit_outcome(state_arrays(stored[group.name]), state_arrays(states[group.name]), outside)
        for group in groups
    }


def later_months(seen: Collection[str], last: Month) -> list[str]:
    """Return the partitions among those read (``asset@month``) that lie after a month."""
    parts = [(address, address.partition("@")[2]) for address in seen]
    return sorted(address for address, month in parts if month and Month.parse(month) > last)


def refit_outcome(
    stored: Mapping[str, np.ndarray], again: Mapping[str, np.ndarray], outside: Sequence[str]
) -> CheckOutcome:
    """Compare parameters that were fitted again; a fit that has read partitions ``outside`` its scope fails in any case."""
    if outside:
        reason = f"the fit reads what comes after train: {', '.join(outside[:_NAMED])}"
        return CheckOutcome(False, reason, len(outside), {"read_after_train": list(outside)})
    return refit_is_equal(stored, again)


def state_arrays(state: GroupState) -> dict[str, np.ndarray]:
    """Return a state as arrays by name: parameters, train reference, and metadata."""
    meta = {f"meta {name}": np.array(value) for name, value in state.meta.items()}
    reference = {f"train reference {name}": array for name, array in state.reference.arrays().items()}
    return {**state.params, **reference, **meta}
