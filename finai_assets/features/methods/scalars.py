"""The standardised continuous columns of a customer, in which the mixture and the k-means centres live.

They are the continuous, count and share columns of ``demographics``, ``txn_behavior`` and ``derived_temporal``, computed from
the block by those groups' own functions; what the data set cannot carry or what does not vary on train is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from finai_assets.features.groups import demographics, derived_temporal, txn_behavior
from finai_assets.features.inputs import SNAPSHOTS
from finai_assets.features.registry import Column, Params
from finai_assets.ingest.derive import FACTS, unavailable_column
from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings

CLIP = 5.0  # standard deviations: one customer's extreme value must not rule a distance
SETTINGS = (  # those of the three groups, and the columns that the data set lacks
    "feature_groups.demographics",
    "feature_groups.txn_behavior",
    *FACTS,
)
_KINDS = ("continuous", "count", "share")
_OWN, _DEMOGRAPHICS = "scalar_", "demographics_"
_SKEWED = 1.0


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the columns that are scalars, as their own groups declare them, without those that the data set cannot carry."""
    return tuple(column for column in _declared(settings) if _is_scalar(column, settings))


def inputs(settings: Settings) -> tuple[str, ...]:
    """Return every raw column that the scalars read, each once."""
    return tuple(dict.fromkeys(name for column in columns(settings) for name in column.inputs))


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Fit the imputation and the scale of every scalar on train rows.

    Returns
    -------
    dict
        The state of ``demographics`` under the prefix ``demographics_``; ``scalar_names`` [d], and for each of them
        ``scalar_at`` (its position among :func:`columns`), ``scalar_median`` (raw), ``scalar_logged`` (whether log1p is taken),
        ``scalar_mean`` and ``scalar_scale`` (after imputation and logarithm).

    Raises
    ------
    GateError
        No scalar varies on train.

    Notes
    -----
    The logarithm is taken of a column that cannot be negative, is no share, has a skewness above 1 on train, and a smaller
    one after it.
    """
    known = [_known(block, settings) for block in blocks]
    people = demographics.fit(known, settings)
    raw = np.concatenate([_raw(block, people, settings) for block in known])
    listed = columns(settings)
    median = np.array([_median(raw[:, j]) for j in range(len(listed))])
    logged = np.array([_takes_logarithm(raw[:, j], column) for j, column in enumerate(listed)], np.bool_)
    plain = np.empty(raw.shape)
    every = np.arange(len(listed))
    _standardise(raw, every, median, logged, np.zeros(len(listed)), np.ones(len(listed)), np.inf, plain)
    mean, scale = plain.mean(axis=0), plain.std(axis=0)
    at = np.flatnonzero(scale > 1e-6 * np.maximum(1, np.abs(mean)))  # False for NaN too: a column without a known value
    if not len(at):
        raise GateError("no scalar column varies on train", where="scalars", fix="fit on more customers")
    return {
        **{_DEMOGRAPHICS + name: array for name, array in people.items()},
        _OWN + "names": np.array([listed[j].name for j in at], dtype=np.str_),
        _OWN + "at": at,
        _OWN + "median": median[at],
        _OWN + "logged": logged[at],
        _OWN + "mean": mean[at],
        _OWN + "scale": scale[at],
    }


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float64 [n, d] in standard deviations, C-ordered: imputed by the train median and clipped at 5."""
    values = raw(block, params, settings)
    out = np.empty((len(block), len(params[_OWN + "at"])))
    fitted = (params[_OWN + name] for name in ("at", "median", "logged", "mean", "scale"))
    _standardise(values, *fitted, CLIP, out)
    return out


def raw(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, scalars of the data set] as the three groups store them, in the order of :func:`columns`."""
    people = {
        name.removeprefix(_DEMOGRAPHICS): array for name, array in params.items() if name.startswith(_DEMOGRAPHICS)
    }
    return _raw(_known(block, settings), people, settings)


def _raw(block: Block, people: Params, settings: Settings) -> np.ndarray:
    parts = (
        demographics.transform(block, people, settings),
        txn_behavior.transform(block, {}, settings),
        derived_temporal.transform(block, {}, settings),
    )
    kept = [j for j, column in enumerate(_declared(settings)) if _is_scalar(column, settings)]
    return np.asfortranarray(np.concatenate(parts, axis=1)[:, kept])


def _declared(settings: Settings) -> tuple[Column, ...]:
    return (
        *demographics.columns(settings),
        *txn_behavior.columns(settings),
        *derived_temporal.columns(settings),
    )


def _is_scalar(column: Column, settings: Settings) -> bool:
    return column.kind in _KINDS and unavailable_column(column, settings.dataset) is None


def _known(block: Block, settings: Settings) -> Block:
    """Return the block with every snapshot column blanked out that no scalar declares; scalars need none of its codes."""
    declared = {name.removeprefix(f"{SNAPSHOTS}.") for name in inputs(settings) if name.startswith(SNAPSHOTS)}
    arrays = [
        block.snapshot[field.name] if field.name in declared else pa.nulls(len(block), field.type)
        for field in block.snapshot.schema
    ]
    return replace(block, snapshot=pa.table(arrays, names=block.snapshot.column_names))


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)].astype(np.float64)
    return float(np.median(known)) if len(known) else float("nan")


def _takes_logarithm(values: np.ndarray, column: Column) -> bool:
    known = values[~np.isnan(values)].astype(np.float64)
    if column.kind == "share" or column.low is None or column.low < 0 or not len(known):
        return False
    before = _skewness(known)
    return before > _SKEWED and abs(_skewness(np.log1p(known))) < before


def _skewness(values: np.ndarray) -> float:
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    return float(np.mean(centred**3)) / variance**1.5 if variance > 0 else 0.0


@numba.njit(cache=True, nogil=True)
def _standardise(raw: Any, at: Any, median: Any, logged: Any, mean: Any, scale: Any, limit: float, out: Any) -> None:
    for j in range(len(at)):
        source = raw[:, at[j]]
        for i in range(len(source)):
            value = np.float64(source[i])
            if np.isnan(value):
                value = median[j]
            if logged[j]:
                value = np.log1p(value)
            z = (value - mean[j]) / scale[j]
            out[i, j] = limit if z > limit else max(z, -limit)
