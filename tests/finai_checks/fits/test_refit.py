"""C12: a fit refits bit-identically where everything that it must not see is garbage, and one that reads it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from finai_checks.fits.refit import garbage_after, garbage_like, later_months, refit_is_equal, refit_outcome
from finai_checks.framework.check import NO_EVIDENCE
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.warehouse import Warehouse

TRAIN = ("2015-01", "2015-02")
RAW = "raw/snapshots"
LAST = Month.parse("2015-02")


# ---- equal to the bit


@given(arrays.arrays(np.float64, st.integers(1, 6)), st.data())
def test_one_turned_bit_is_found_and_a_copy_is_equal(values: np.ndarray, data: st.DataObject) -> None:
    assert refit_is_equal({"mean": values}, {"mean": values.copy()}).passed
    place, bit = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, 63))
    turned = values.copy()
    turned.view(np.uint64)[place] ^= np.uint64(1 << bit)
    outcome = refit_is_equal({"mean": values}, {"mean": turned})
    assert not outcome.passed
    assert f"mean (1 of {len(values)} values differ" in outcome.reason


@pytest.mark.parametrize(
    ("stored", "again", "reason"),
    [
        (np.array(1.5), np.array(2.0), "mean (1 of 1 values differ, by up to 0.5)"),
        (np.array([1, 2]), np.array([1, 5]), "mean (1 of 2 values differ, by up to 3)"),
        (np.array(["a", "b"]), np.array(["a", "long"]), "mean (1 of 2 values are missing after the re-fit: b)"),
        (np.array(["a", "b"]), np.array(["b", "a"]), "mean (2 of 2 values differ, first a and b)"),
        (np.array([np.nan]), np.array([1.0]), "mean (1 of 1 values differ)"),
        (np.zeros(2), np.zeros(3), "stored float64[2], fitted again float64[3]"),
        (np.zeros(2), np.zeros(2, np.float32), "stored float64[2], fitted again float32[2]"),
    ],
)
def test_a_difference_is_named_with_its_size(stored: np.ndarray, again: np.ndarray, reason: str) -> None:
    outcome = refit_is_equal({"mean": stored}, {"mean": again})
    assert not outcome.passed
    assert reason in outcome.reason


def test_texts_may_be_stored_wider_than_they_are() -> None:
    assert refit_is_equal({"codes": np.array(["a", "b"], "U9")}, {"codes": np.array(["a", "b"])}).passed


def test_a_parameter_on_one_side_alone_is_a_difference() -> None:
    one, two = {"mean": np.ones(1)}, {"mean": np.ones(1), "std": np.ones(1)}
    assert "std (the re-fit does not give it)" in refit_is_equal(two, one).reason
    assert "std (it is not stored)" in refit_is_equal(one, two).reason


@pytest.mark.parametrize(("stored", "deviation", "passed"), [
    (0.5, 0.9e-5, True), (0.5, 1.1e-5, False), (100.0, 0.9e-3, True), (100.0, 1.1e-3, False),
])  # fmt: skip
def test_rounding_is_allowed_where_it_is_named_and_no_further(stored: float, deviation: float, *, passed: bool) -> None:
    kept, again = {"slope": np.array([stored])}, {"slope": np.array([stored + deviation])}
    assert refit_is_equal(kept, again, rounded=["slope"], rounding=1e-5).passed is passed
    assert not refit_is_equal(kept, again, rounded=["offset"], rounding=1e-5).passed


def test_nothing_stored_is_no_evidence() -> None:
    assert refit_is_equal({}, {"mean": np.ones(1)}).reason == NO_EVIDENCE


def test_many_differences_are_counted_and_the_first_are_named() -> None:
    stored = {f"p{i}": np.zeros(1) for i in range(8)}
    outcome = refit_is_equal(stored, {name: array + 1 for name, array in stored.items()})
    assert outcome.reason.startswith("8 of 8 parameters differ after the re-fit: p0 (")
    assert outcome.reason.endswith("and 3 more")
    assert len(outcome.table) == 8


# ---- a view of the lake in which the future is garbage


def _snapshots(month: str, age: int) -> pa.Table:
    ids = np.arange(5)
    return pa.table({
        "customer_id": ids, "age": pa.array(np.full(5, age), pa.int16()), "income": np.full(5, 10.0),
        "is_active": [True] * 5, "segment": list("abcde"), "month": [month] * 5,
    })  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake.on_disk(tmp_path / "lake")
    for month, age in (("2015-01", 20), ("2015-02", 40), ("2015-04", 90)):
        with found.write(RAW, month) as out:
            out.write(_snapshots(month, age))
    with found.write("labels/churn", "2015-04") as out:
        out.write(_snapshots("2015-04", 1))
    return found


def _mean_age(session: LakeSession, months: tuple[str, ...]) -> float:
    return float(np.mean([session.read(RAW, month)["age"].to_numpy().mean() for month in months]))


def test_a_fit_on_train_comes_out_again_and_one_that_reads_on_does_not(lake: Lake) -> None:
    honest, leaking = _mean_age(LakeSession(lake), TRAIN), _mean_age(LakeSession(lake), (*TRAIN, "2015-04"))
    with garbage_after(LakeSession(lake), [RAW], LAST, owners=np.arange(5), seed=1) as view:
        assert _mean_age(view, TRAIN) == honest
        assert later_months(view.seen, LAST) == []
        assert _mean_age(view, (*TRAIN, "2015-04")) != leaking
        assert later_months(view.seen, LAST) == [f"{RAW}@2015-04"]


def test_a_look_past_the_session_finds_garbage_too(lake: Lake) -> None:
    with garbage_after(LakeSession(lake), [RAW], LAST, owners=np.arange(5), seed=1) as view:
        for table in (view.lake.read(RAW, "2015-04"), view.lake.read_customers(RAW, "2015-04", 0, 9)):
            assert 90 not in table["age"].to_pylist()


def test_a_question_in_sql_finds_the_garbage_of_the_view(lake: Lake) -> None:
    question = "SELECT * FROM raw.snapshots ORDER BY month, customer_id"
    known = Warehouse(LakeSession(lake)).query(question).to_pydict()
    with garbage_after(LakeSession(lake), [RAW], LAST, owners=np.arange(5), seed=1) as view:
        found = Warehouse(view).query(question).to_pydict()
        expected = pa.concat_tables([view.lake.read(RAW, key) for key in view.lake.partitions(RAW)])
    assert found["month"] == known["month"]
    for name in set(expected.column_names) - {"month"}:  # that of the partition stands in for it
        assert found[name] == expected[name].to_pylist()
    assert found != known


def test_the_future_of_other_assets_does_not_exist_and_nothing_can_be_written(lake: Lake) -> None:
    with garbage_after(LakeSession(lake), [RAW], LAST, owners=np.arange(5), seed=1) as view:
        with pytest.raises(LakeError, match="not been written"):
            view.read("labels/churn", "2015-04")
        with pytest.raises(LakeError, match="writes nothing"), view.write(RAW, "2015-01", code_version="1"):
            pass
        with pytest.raises(LakeError, match="deletes nothing"):
            view.lake.delete(RAW, "2015-01")
    assert lake.read(RAW, "2015-04")["age"].to_pylist() == [90] * 5


def test_a_fit_that_reads_on_fails_though_its_parameters_are_equal() -> None:
    outcome = refit_outcome({"mean": np.ones(1)}, {"mean": np.ones(1)}, [f"{RAW}@2015-04"])
    assert not outcome.passed
    assert outcome.reason == f"the fit reads what comes after train: {RAW}@2015-04"


def test_garbage_has_the_schema_and_no_value_of_the_original() -> None:
    table = _snapshots("2015-04", 90).append_column("ts", pa.array(np.arange(5), pa.timestamp("us")))
    found = garbage_like(table, np.array([7, 8, 9]), np.random.default_rng(1))
    assert found.schema == table.schema
    assert set(found["customer_id"].to_pylist()) == {7, 8, 9}
    assert found["customer_id"].to_pylist() == sorted(found["customer_id"].to_pylist())
    assert found["is_active"].to_pylist() == [False] * 5
    assert not set(found["age"].to_pylist()) & {90}
    assert not set(found["income"].to_pylist()) & {10.0}
    assert sorted(found["segment"].to_pylist()) == list("abcde")
    assert found["ts"].to_pylist() == table["ts"].to_pylist()
