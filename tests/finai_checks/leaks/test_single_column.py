"""C11: how well a column, a tree or a pair of columns predicts a label, and when that is a leak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from finai_assets.settings import Settings
from finai_assets.settings.checks import ExpectedPredictor
from finai_assets.training.labelling import MatrixTask
from finai_checks.framework.check import CheckOutcome
from finai_checks.leaks.canaries import COLUMNS, GROUPS, TASKS, honest_matrix, matrix_task
from finai_checks.leaks.single_column import no_single_column_leak
from finai_checks.leaks.single_column_groups import _half_skill, cells, strongest_pairs, tree_skills
from finai_checks.leaks.single_column_skill import Skills, Targets, column_skills, skill_interval

BINARY, MULTI, VALUE = matrix_task("b", "binary"), matrix_task("m", "multiclass", 4), matrix_task("v", "regression")


def targets(tasks: Sequence[MatrixTask], *, class_customers: int = 5, **labels: np.ndarray) -> Targets:
    n = len(next(iter(labels.values())))
    return Targets.of(
        tasks,
        {k: np.asarray(v, float) for k, v in labels.items()},
        np.arange(n),
        class_customers=class_customers,
        task_customers=class_customers,
        seed=3,
    )


def skills(column: np.ndarray, tasks: Sequence[MatrixTask], **labels: np.ndarray) -> Skills:
    return column_skills(np.asarray(column, np.float32)[None], targets(tasks, **labels), bins=64, threads=1)


def skill(column: np.ndarray, task: MatrixTask, label: np.ndarray) -> float:
    return float(skills(column, [task], **{task.name: label}).skill[0, 0])


RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=2000)


# ---- one column


@hypothesis_settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), levels=st.sampled_from([2, 5, 400, 10**6]), shift=st.floats(-2, 2))
def test_the_skill_on_a_binary_label_is_at_least_the_two_sided_auc(seed: int, levels: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    y = rng.random(300) < 0.2
    x = np.round((rng.normal(size=300) + shift * y) * levels).astype(np.float32)
    auc = roc_auc_score(y, x) if y.any() else 0.5
    assert skill(x, BINARY, y) >= max(auc, 1 - auc) - 1e-9


def test_an_order_without_ties_has_exactly_the_auc_when_the_bins_add_nothing() -> None:
    y = (NOISE + RNG.normal(size=2000)) > 1
    assert skill(NOISE, BINARY, y) == pytest.approx(roc_auc_score(y, NOISE), abs=0.005)


def test_noise_has_no_skill_however_many_bins_it_fills() -> None:
    rare = np.arange(2000) % 200 == 0
    assert skill(NOISE, BINARY, rare) < 0.75
    assert skill(NOISE, VALUE, RNG.normal(size=2000)) < 0.03
    assert skill(np.arange(2000.0), MULTI, RNG.integers(0, 4, 2000)) < 0.56


def test_a_value_in_the_middle_is_seen_by_the_bins_and_not_by_the_order() -> None:
    y = np.abs(NOISE) < 0.2
    assert max(roc_auc_score(y, NOISE), 1 - roc_auc_score(y, NOISE)) < 0.6
    assert skill(NOISE, BINARY, y) > 0.98


def test_a_rare_class_in_the_middle_of_a_column_still_passes_the_threshold() -> None:
    value = RNG.permutation(2000).astype(float)
    assert skill(value, BINARY, (value >= 1000) & (value < 1010)) > 0.98


def test_absence_is_a_value_of_its_own() -> None:
    y = np.arange(2000) % 7 == 0
    assert skill(np.where(y, np.nan, NOISE), BINARY, y) == 1.0
    assert skill(np.full(2000, np.nan), BINARY, y) == 0.5
    assert skill(np.where(y, np.nan, NOISE), VALUE, y * 3.0) == pytest.approx(1.0)


def test_a_masked_row_counts_for_nothing() -> None:
    y = (NOISE > 0.5).astype(float)
    wrong = np.where(np.arange(2000) % 2 == 0, y, np.nan)
    flipped = np.where(np.isnan(wrong), 1 - y, y)
    assert skill(NOISE, BINARY, wrong) == 1.0
    assert skill(NOISE, BINARY, flipped) < 0.7
    assert skill(NOISE, VALUE, np.where(np.isnan(wrong), np.nan, NOISE)) > 0.999


def test_minus_zero_is_zero() -> None:
    y = np.arange(400) % 2
    assert skill(np.where(y == 1, -0.0, 0.0), BINARY, y) == 0.5


def test_the_best_class_against_the_rest_is_named_and_the_mean_is_taken_over_all() -> None:
    label = RNG.integers(0, 4, 2000)
    found = skills((label == 2).astype(float), [MULTI], m=label)
    assert (found.skill[0, 0], found.best_class[0, 0], found.exact[0, 0]) == (1.0, 2, False)
    assert 0.7 < found.mean[0, 0] < 0.85
    every = skills(np.array([9.0, 1.0, 5.0, 3.0])[label], [MULTI], m=label)
    assert (every.mean[0, 0], every.exact[0, 0]) == (1.0, True)


def test_a_class_of_too_few_rows_is_not_judged() -> None:
    label = np.where(np.arange(2000) < 4, 3, RNG.integers(0, 3, 2000))
    assert skills((label == 3).astype(float), [MULTI], m=label).skill[0, 0] < 0.6
    few = targets([BINARY], b=np.arange(2000) < 4)
    assert not few.sufficient("b")
    assert np.isnan(column_skills(NOISE[None].astype(np.float32), few, bins=64, threads=1).skill).all()
    assert targets([BINARY], b=np.arange(2000) < 5).sufficient("b")
    assert targets([BINARY], b=np.arange(2000) >= 5).sufficient("b")
    assert not targets([BINARY], b=np.arange(2000) >= 4).sufficient("b")


def test_one_row_that_errs_is_no_reconstruction() -> None:
    label = RNG.integers(0, 4, 2000)
    column = label.astype(float)
    column[17] = (column[17] + 1) % 4
    found = skills(column, [MULTI], m=label)
    assert found.mean[0, 0] > 0.99
    assert not found.exact[0, 0]


def test_each_of_few_values_has_a_bin_of_its_own_however_rare() -> None:
    code = RNG.integers(0, 34, 2000)
    code[code == 16] = np.where(np.arange((code == 16).sum()) < 12, 16, 3)  # between two frequent ones
    found = skills(code, [BINARY], b=code == 16)
    assert found.exact[0, 0]
    assert len(set(found.bins[0])) == len(set(code))


def test_missing_values_share_the_bin_zero_with_nothing() -> None:
    column = np.where(np.arange(2000) % 3 == 0, np.nan, NOISE)
    np.testing.assert_array_equal(skills(column, [BINARY], b=NOISE > 0).bins[0] == 0, np.isnan(column))


def test_a_name_of_the_customer_is_no_reconstruction() -> None:
    customer = np.arange(400) // 8
    label = (customer % 2).astype(float)
    labelled = Targets.of([BINARY], {"b": label}, customer, class_customers=5, task_customers=5, seed=3)
    found = column_skills(RNG.permutation(50)[customer][None].astype(np.float32), labelled, bins=64, threads=1)
    assert not found.exact[0, 0]
    assert found.skill[0, 0] < 0.7


@pytest.mark.parametrize(("customers", "judged"), [(1, False), (4, False), (5, True)])
def test_a_class_is_judged_by_its_customers_and_not_by_their_months(customers: int, judged: bool) -> None:
    # each of 500 customers has 8 months; the class is a habit of a few, in every one of their months
    customer = np.repeat(np.arange(500), 8)
    code = np.where(customer < customers, 2, customer % 2)
    labelled = Targets.of([MULTI], {"m": code.astype(float)}, customer, class_customers=5, task_customers=5, seed=3)
    assert (2 in labelled.judged_classes("m")) is judged
    habit = np.where(customer < customers, 3.0, RNG.normal(size=len(customer)))[None].astype(np.float32)
    assert bool(column_skills(habit, labelled, bins=64, threads=1).skill[0, 0] > 0.98) is judged


@pytest.mark.parametrize(("largest", "judged"), [(14, [0, 1, 2]), (15, [2])])
def test_a_small_class_is_judged_where_its_task_has_no_larger_one(largest: int, judged: list[int]) -> None:
    code = np.repeat([0, 1, 2], [9, 6, largest])  # a customer each
    labelled = Targets.of(
        [MULTI], {"m": code.astype(float)}, np.arange(len(code)), class_customers=15, task_customers=5, seed=3
    )
    assert list(labelled.judged_classes("m")) == judged


@pytest.mark.parametrize(("others", "judged"), [(4, False), (5, True)])
def test_a_class_needs_customers_of_other_classes_too(others: int, judged: bool) -> None:
    customer = np.repeat(np.arange(100), 6)
    label = np.where(customer < others, np.arange(600) % 2, 1.0)  # these have both classes
    labelled = Targets.of([BINARY], {"b": label}, customer, class_customers=5, task_customers=5, seed=3)
    assert labelled.sufficient("b") is judged


def test_a_name_of_the_row_is_no_reconstruction() -> None:
    label = RNG.integers(0, 4, 2000)
    assert not skills(np.arange(2000.0), [MULTI], m=label).exact[0, 0]


@hypothesis_settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), rising=st.booleans(), levels=st.sampled_from([3, 40, 10**6]))
def test_a_monotone_predictor_is_the_isotonic_one(seed: int, rising: bool, levels: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=400) * levels).astype(np.float32)
    y = (1 if rising else -1) * np.exp(x / levels) + rng.normal(size=400)
    fitted = IsotonicRegression(increasing=rising).fit_transform(x, y)
    expected = 1 - np.var(y - fitted) / np.var(y)
    assert skill(x, VALUE, y) >= expected - 1e-6
    assert skill(x, VALUE, y) <= expected + 0.05


def test_a_function_that_turns_is_predicted_by_the_bins() -> None:
    assert skill(NOISE, VALUE, np.cos(2 * NOISE)) > 0.98
    assert IsotonicRegression().fit(NOISE, np.cos(2 * NOISE)).score(NOISE, np.cos(2 * NOISE)) < 0.5


def test_a_constant_label_is_predicted_by_nothing() -> None:
    constant = np.full(2000, 0.1)
    assert np.isnan(skill(NOISE, VALUE, constant))
    assert not targets([VALUE], v=constant).sufficient("v")


def test_threads_and_chunks_change_nothing() -> None:
    columns = RNG.normal(size=(50, 600)).astype(np.float32)
    labelled = targets(TASKS, **honest_matrix(600)[1])
    one, two = (column_skills(columns, labelled, bins=32, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.skill, two.skill)
    np.testing.assert_array_equal(one.bins, two.bins)
    assert one.bins.max() == 32
    assert np.bincount(one.bins[0])[1:].min() > 10


def test_an_interval_narrows_with_customers_and_not_with_their_rows() -> None:
    label = np.arange(400) % 4 == 0
    few = skill_interval("binary", 0.8, label.astype(float), np.arange(400) // 10, z=1.96)
    many = skill_interval("binary", 0.8, label.astype(float), np.arange(400), z=1.96)
    assert few[0] < many[0] < 0.8 < many[1] < few[1]
    assert skill_interval("regression", 1.0, NOISE, np.arange(2000), z=1.96) == (1.0, 1.0)
    low, high = skill_interval("regression", 0.5, NOISE, np.arange(2000), z=1.96)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(4 * 0.5 * 0.25 / 2000))


# ---- a group


def test_a_tree_finds_three_columns_of_which_none_suffices() -> None:
    bits = RNG.integers(0, 2, (5, 3000)).astype(np.float32)
    label = bits[0] * bits[2] * bits[4]
    labelled = targets([BINARY], b=label)
    found = column_skills(bits, labelled, bins=16, threads=1)
    assert found.skill.max() < 0.9
    tree, _ = tree_skills(found.bins, labelled, np.ones((5, 1), bool), count=17)
    assert tree[0] == 1.0
    without, _ = tree_skills(found.bins, labelled, np.array([[1], [1], [0], [1], [1]], bool), count=17)
    assert without[0] < 0.95


def test_a_tree_of_noise_has_no_skill() -> None:
    columns = RNG.normal(size=(40, 900)).astype(np.float32)
    labels = {"b": RNG.random(900) < 0.1, "m": RNG.integers(0, 4, 900), "v": RNG.normal(size=900)}
    labelled = targets([BINARY, MULTI, VALUE], **labels)
    found = column_skills(columns, labelled, bins=32, threads=1)
    tree, _ = tree_skills(found.bins, labelled, np.ones((40, 3), bool), count=33)
    assert tree[0] < 0.65
    assert tree[1] < 0.6
    assert tree[2] < 0.05


def test_what_leaves_say_is_learnt_on_the_other_half() -> None:
    leaf, learn = np.arange(400) % 8, np.arange(400) < 200
    label = np.where(learn, leaf >= 4, leaf < 4).astype(float)
    assert _half_skill(leaf, label, learn, "binary") == 0.0
    assert _half_skill(leaf, label, learn, "regression") < -2
    assert np.isnan(_half_skill(leaf, label, np.ones(400, bool), "binary"))


def test_a_pair_is_of_two_columns_even_where_one_is_missing_with_the_label() -> None:
    columns = RNG.normal(size=(6, 1000)).astype(np.float32)
    label = np.arange(1000) % 5 == 0
    columns[2, label] = np.nan
    first, second = strongest_pairs(columns, targets([BINARY], b=label), np.ones((6, 1), bool), rows=1000)["b"]
    assert first < second


def test_an_exclusive_or_is_found_as_a_pair_where_a_tree_finds_nothing() -> None:
    bits = RNG.integers(0, 2, (30, 3000)).astype(np.float32)
    label = bits[11] != bits[25]
    labelled = targets([BINARY], b=label)
    allowed = np.ones((30, 1), bool)
    assert strongest_pairs(bits, labelled, allowed, rows=500) == {"b": (11, 25)}
    tree, _ = tree_skills(column_skills(bits, labelled, bins=8, threads=1).bins, labelled, allowed, count=9)
    assert tree[0] < 0.7
    assert skill(cells(bits[11], bits[25]), BINARY, label) == 1.0
    allowed[11] = False
    assert strongest_pairs(bits, labelled, allowed, rows=500)["b"] != (11, 25)


def test_cells_distinguish_low_high_and_missing() -> None:
    column = np.array([0, 0, 0, 1, np.nan], np.float32)
    assert cells(column, column[::-1].copy()).tolist() == [3, 5, 4, 7, 1]
    assert len(set(cells(np.full(3, np.nan, np.float32), np.arange(3, dtype=np.float32)))) == 2


# ---- the verdict


def judged(settings: Settings, **changed: np.ndarray) -> CheckOutcome:
    X, labels, customer = honest_matrix()
    for name, values in changed.items():
        X[:, COLUMNS.index(name)] = values
    return no_single_column_leak(
        X, COLUMNS, GROUPS, TASKS, labels, customer,
        rules=settings.checks.single_column, confidence=0.95, seed=1, threads=1,
    )  # fmt: skip


def test_the_threshold_lets_pass_what_lies_below_it(settings: Settings) -> None:
    churn = honest_matrix()[1]["churn_signal"]
    noise = np.random.default_rng(5).random(len(churn))
    negatives = np.flatnonzero(churn == 0)

    def with_ties(share: float) -> CheckOutcome:
        column = np.where(churn == 1, 1.0, 0.5 * noise)
        column[negatives[: int(2 * share * len(negatives))]] = 1.0  # these tie with the positives: the AUC is 1 - share
        return judged(settings, visits=column)

    above, below = with_ties(0.01), with_ties(0.05)
    assert "visits predicts churn_signal: AUC" in above.reason
    assert "churn_signal" not in below.reason
    assert next(r for r in below.table if r["name"] == "visits" and r["task"] == "churn_signal")["skill"] > 0.9


def test_the_table_shows_each_task_with_skill_interval_limit_and_rows(settings: Settings) -> None:
    outcome = judged(settings)
    assert outcome.passed
    assert {row["task"] for row in outcome.table} == {task.name for task in TASKS}
    assert {row["what"] for row in outcome.table} == {"column", "tree", "pair"}
    nba = next(row for row in outcome.table if row["task"] == "nba_primary")
    assert nba["rows"] == 900 - 18
    assert nba["low"] < nba["skill"] < nba["high"]
    assert (outcome.n, outcome.observed["customers"]) == (900, 300)
    segment = next(
        row for row in outcome.table if row["name"] == "segment_code" and row["task"] == "segment_prediction"
    )
    assert (segment["limit"], segment["passed"]) == (0.999, True)
    assert outcome.observed["interval"] == [segment["low"], segment["high"]]


def test_every_leaking_task_is_named_and_every_leak_is_in_the_table(settings: Settings) -> None:
    labels = honest_matrix()[1]
    outcome = judged(settings, visits=labels["churn_signal"], spend=labels["cross_sell_count"])
    assert "visits reconstructs churn_signal" in outcome.reason
    assert "spend reconstructs cross_sell_count" in outcome.reason
    leaks = [row for row in outcome.table if not row["passed"]]
    assert outcome.observed["leaks"] == len(leaks)
    assert [row["passed"] for row in outcome.table] == [False] * len(leaks) + [True] * (len(outcome.table) - len(leaks))


def test_a_reconstruction_fails_whatever_the_threshold(settings: Settings) -> None:
    rules = settings.checks.single_column.model_copy(update={"threshold": 1.0})
    X, labels, customer = honest_matrix()
    X[:, 4] = labels["churn_signal"]
    outcome = no_single_column_leak(
        X, COLUMNS, GROUPS, TASKS, labels, customer, rules=rules, confidence=0.95, seed=1, threads=1
    )
    assert outcome.reason == "visits reconstructs churn_signal"


def test_a_declared_column_is_held_to_its_own_bound(settings: Settings) -> None:
    bounds = {}
    for bound in (0.98, 0.995):
        entry = ExpectedPredictor(columns=("segment_*",), bound=bound, reason="few customers change their segment")
        rules = settings.checks.single_column.model_copy(update={"expected": {"segment_prediction": entry}})
        X, labels, customer = honest_matrix()
        bounds[bound] = no_single_column_leak(
            X, COLUMNS, GROUPS, TASKS, labels, customer, rules=rules, confidence=0.95, seed=1, threads=1
        )
    assert bounds[0.995].passed
    assert "segment_code predicts segment_prediction: mean AUC over classes 0.98" in bounds[0.98].reason


def test_a_column_that_belongs_to_no_group_is_not_overlooked(settings: Settings) -> None:
    X, labels, customer = honest_matrix()
    outcome = no_single_column_leak(
        X, COLUMNS, {"demographics": COLUMNS[:3]}, TASKS, labels, customer,
        rules=settings.checks.single_column, confidence=0.95, seed=1, threads=1,
    )  # fmt: skip
    assert "columns of no group: channel, spend, visits" in outcome.reason
