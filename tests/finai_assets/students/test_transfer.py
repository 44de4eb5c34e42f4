"""The transfer set: rows of purged months, which teach copies alone."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.asset_graph import TRANSFER
from finai_assets.features.registry import build_registry
from finai_assets.settings import Settings, load_settings
from finai_assets.students.binned import BinnedCopies
from finai_assets.students.columns import TaskColumns
from finai_assets.students.rows import TaskRows
from finai_assets.students.train import fit, fitted_on
from finai_assets.students.transfer import (
    MonthAnswered,
    TransferSet,
    load_transfer_set,
    transfer_customers,
    write_transfer_set,
)
from finai_assets.training.fitted_rows import FittedRows
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from tests.finai_assets.students.conftest import COLUMNS, TASKS, Toy

MARCH, MAY = Month.parse("2015-03"), Month.parse("2015-05")


def other_rows(toy: Toy, name: str, count: int = 400) -> TransferSet:
    """Rows of the toy's validation split, told as rows of a purged month, with the opposite of what the teacher says."""
    rows = toy.matrix.rows("validation")
    X = np.ascontiguousarray(toy.matrix.X[rows][:count])
    told = 1 - toy.teacher[name][rows][:count]
    return TransferSet(COLUMNS, X, np.full(count, MARCH.key), np.arange(count), {name: told})


@pytest.mark.parametrize(("aim", "differs"), [("copy", True), ("direct", False)])
def test_copies_learn_from_it_and_direct_students_do_not(aim: str, differs: bool, toy: Toy, chosen: Settings) -> None:
    columns = TaskColumns({"copy": COLUMNS[:10], "direct": COLUMNS[:10]}, {}, {})
    without = TaskRows(TASKS["churn"], toy.matrix, toy.teacher["churn"], chosen)
    rows = replace(without, transfer=other_rows(toy, "churn"))
    texts = [fit(each, columns, aim, BinnedCopies()).model.text for each in (without, rows)]  # type: ignore[arg-type]
    assert (texts[0] != texts[1]) is differs
    recorded = fitted_on(rows, aim)  # type: ignore[arg-type]
    assert ("copy transfer" in recorded) is differs
    if differs:
        assert recorded["copy transfer"] == FittedRows.of_months("transfer", {MARCH: np.arange(400)})
        assert recorded["copy trees"] == fitted_on(without, "copy")["copy trees"]


def test_only_train_examples_are_more(toy: Toy, chosen: Settings) -> None:
    rows = TaskRows(TASKS["churn"], toy.matrix, toy.teacher["churn"], chosen, other_rows(toy, "churn"))
    names = list(COLUMNS[3:6])
    assert len(rows.targets("validation", "copy")) == len(rows.inputs("validation", "copy", names))
    assert len(rows.inputs("validation", "copy", names)) == len(rows.everyone("validation"))
    assert rows.transfer is not None
    np.testing.assert_array_equal(rows.inputs("train", "copy", names)[-400:], rows.transfer.X[:, 3:6])
    told = rows.transfer.predictions["churn"].astype(np.float64)
    np.testing.assert_allclose(rows.targets("train", "copy")[-400:], np.log(told / (1 - told)), rtol=1e-5)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    session, rng = LakeSession(Lake.on_disk(tmp_path)), np.random.default_rng(0)
    months = [
        MonthAnswered(
            month,
            np.array([2, 5, 9][:count]),
            rng.normal(size=(count, len(COLUMNS))).astype(np.float32),
            {
                "churn": rng.random(count).astype(np.float32),
                "family": rng.dirichlet(np.ones(3), count).astype(np.float32),
                "spend": rng.normal(size=count).astype(np.float32),
            },
        )
        for month, count in ((MARCH, 3), (MAY, 2))
    ]
    with session.write(TRANSFER, code_version="v") as out:
        rows = write_transfer_set(iter(months), COLUMNS, ("column_7", "column_3"), out)
    assert rows == {"2015-03": 3, "2015-05": 2}
    found = load_transfer_set(session, tuple(TASKS.values()))
    assert found.columns == ("column_3", "column_7")  # in the order of the matrix
    np.testing.assert_array_equal(found.X, np.concatenate([entry.X[:, [3, 7]] for entry in months]))
    assert found.customer.tolist() == [2, 5, 9, 2, 5]
    assert found.month.tolist() == ["2015-03"] * 3 + ["2015-05"] * 2
    for name in TASKS:
        np.testing.assert_array_equal(
            found.predictions[name], np.concatenate([entry.predictions[name] for entry in months])
        )
    assert asdict(found.rows)["months"] == ("2015-03", "2015-05")
    with pytest.raises(LakeError, match="column_4"):
        found.features(["column_3", "column_4"])


@pytest.mark.parametrize("limit", [7, 20])
def test_of_too_many_rows_whole_customers_are_kept(limit: int, tmp_path: Path) -> None:
    settings = load_settings("synthetic", "smoke", overrides={"students": {"transfer_rows": limit}})
    session, registry = LakeSession(Lake.on_disk(tmp_path)), build_registry(settings)
    ids = {MARCH: np.arange(10), MAY: np.arange(3, 12)}
    for month, customer in ids.items():
        with session.write(registry.available[0].asset, month.key, code_version="v") as out:
            out.write(pa.table({"customer_id": customer}))
    found = transfer_customers(session, settings, registry, [MARCH, MAY])
    assert sum(len(customer) for customer in found.values()) <= limit
    kept = set(np.concatenate(list(found.values())).tolist())
    for month, customer in ids.items():
        assert found[month].tolist() == [each for each in customer if each in kept]
    if limit == 20:
        assert {month: customer.tolist() for month, customer in found.items()} == {
            month: customer.tolist() for month, customer in ids.items()
        }
