"""C16, values: matrices that hold what is stored of their rows, and ones into which something else was written."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import MATRIX
from finai_assets.training.matrix import ARRAY, load_matrix, month_features
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.lineage.checks import STORED_VALUES
from finai_checks.lineage.matrix_values import Compared, matrix_of_stored_values

Poison = Callable[[SmallLake], None]


def plain_canaries() -> list[Canary]:
    """Return comparisons that found nothing, one row, or nothing to compare."""

    def canary(label: str, expects: str | None, found: Compared) -> Canary:
        return Canary(STORED_VALUES, label, expects, lambda: matrix_of_stored_values(found))

    return [
        canary("equal values", None, Compared(values=5000, rows=64)),
        canary("one row of one column differs", "age (1 rows)", Compared(5000, 64, {"age": 1})),
        canary("a row that its month does not have", "1 customers too many", Compared(5000, 64, {}, ["1 customers too many"])),
        canary("nothing compared", NO_EVIDENCE, Compared()),
    ]  # fmt: skip


def lake_canaries() -> list[LakeCanary]:
    """Return the small lake's matrix, and copies that another joining of features and labels would give."""

    def canary(label: str, expects: str | None = None, poison: Poison | None = None) -> LakeCanary:
        return LakeCanary(STORED_VALUES, MATRIX, label, expects, poison)

    return [
        canary("a matrix as it was built"),
        canary("a label with noise in a column", "age (", _label_in_a_column),
        canary("one month's features in the rows of the next", "lag_", _month_before),
        canary("labels of the next row", "label:cross_sell_count", _labels_of_others),
        canary("a test customer left out", "lacks 1 customers", _one_less),
        canary("the validation month among the test rows", "test holds the months", _another_split),
    ]


def _put_array(small: SmallLake, X: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, X)
    small.put_files(MATRIX, {ARRAY: content.getvalue()})


def _label_in_a_column(small: SmallLake) -> None:
    matrix = load_matrix(small.session)
    X, label = np.array(matrix.X), np.nan_to_num(matrix.labels["will_acquire_deposits"])
    X[:, matrix.columns.index("age")] = label + np.random.default_rng(0).normal(0, 0.5, len(label))
    _put_array(small, X)


def _month_before(small: SmallLake) -> None:
    matrix, train = load_matrix(small.session), small.platform.splits.train
    X, rows = np.array(matrix.X), np.flatnonzero(matrix.month == train[-1].key)
    low, high = int(matrix.customer[rows].min()), int(matrix.customer[rows].max())
    ids, values = month_features(small.session, train[-2], small.platform.registry, low, high)
    at = np.minimum(np.searchsorted(ids, matrix.customer[rows]), len(ids) - 1)
    X[rows] = values[at]
    _put_array(small, X)


def _labels_of_others(small: SmallLake) -> None:
    table = small.lake.read(MATRIX)
    index = table.schema.get_field_index("label:cross_sell_count")
    rolled = pa.array(np.roll(table[index].to_numpy(), 1))
    small.put_table(MATRIX, table.set_column(index, table.schema.field(index), rolled))


def _one_less(small: SmallLake) -> None:
    matrix = load_matrix(small.session)
    X = np.array(matrix.X)[:-1]
    small.put_table(MATRIX, small.lake.read(MATRIX).slice(0, len(X)))
    if matrix.side is not None:
        content = io.BytesIO()
        np.save(content, np.array(matrix.side)[:-1])
        small.put_files(MATRIX, {"side.npy": content.getvalue()})
    _put_array(small, X)


def _another_split(small: SmallLake) -> None:
    table = small.lake.read(MATRIX)
    month = small.month_of("validation").key
    split = [
        "test" if of == month else name
        for of, name in zip(*(table[c].to_pylist() for c in ("month", "split")), strict=True)
    ]
    index = table.schema.get_field_index("split")
    small.put_table(MATRIX, table.set_column(index, table.schema.field(index), pa.array(split)))
