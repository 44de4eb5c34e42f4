"""Rivals are what their papers say, learn from train alone, and let validation do no more than choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

from finai_assets.evaluation.lists.als import als_model, fold_in
from finai_assets.evaluation.lists.co_holding import cosine_similarity, ease_weights
from finai_assets.evaluation.lists.fitted import RivalRows, choose, or_popularity
from finai_assets.evaluation.lists.metrics import mean_ndcg
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.evaluation.lists.rivals import ALS, EASE, ITEM_KNN, POPULARITY, PRODUCT_TREES, RIVALS
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import GateError

PRODUCTS, COLUMNS, TRAIN, HELD_OUT = 6, 5, 1500, 400
ROWS = TRAIN + 2 * HELD_OUT
SPLITS = np.split(np.arange(ROWS), [TRAIN, TRAIN + HELD_OUT])
GRID = {
    "ease": {"penalties": [1, 1000, 100000]},
    "als": {"factors": [2], "regularization": [1, 10], "confidence": [5], "iterations": [4]},
    "lightgbm": {"rounds": 30, "early_stopping_rounds": 5, "min_child_rows": 20, "column_share": 1.0, "threads": 1},
}


@pytest.fixture(scope="module")
def chosen() -> Settings:
    return load_settings("synthetic", "smoke", overrides={"lists": GRID})


@pytest.fixture(scope="module")
def rows() -> RivalRows:
    """Two tastes: products 0..2 and 3..5 are held together; the first column shows a want of product 4."""
    random = np.random.default_rng(7)
    taste = random.integers(0, 2, ROWS)
    likes = np.where((np.arange(PRODUCTS) // 3) == taste[:, None], 0.6, 0.1)
    held = random.random((ROWS, PRODUCTS)) < likes
    X = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    wants = likes * 0.3
    wants[:, 4] = np.where(X[:, 0] > 0.8, 0.7, 0.02)
    acquired = (random.random(held.shape) < wants) & ~held
    train, validation, _ = SPLITS
    return RivalRows(Outcomes(np.arange(ROWS) // 2, held, acquired), train, validation, X, np.array([0, 2, 3, 4]))


def spoilt(rows: RivalRows, at: np.ndarray, *, holdings: bool) -> RivalRows:
    """Return the rows with garbage in some of them: acquisitions, or holdings and columns too."""
    random, held = np.random.default_rng(8), rows.outcomes.held.copy()
    acquired, X = rows.outcomes.acquired.copy(), rows.X.copy()
    if holdings:
        held[at] = random.random((len(at), PRODUCTS)) < 0.5
        X[at] = random.normal(5, 9, (len(at), COLUMNS))
    acquired[at] = (random.random((len(at), PRODUCTS)) < 0.5) & ~held[at]
    return replace(rows, outcomes=Outcomes(rows.outcomes.customer, held, acquired), X=X)


def test_popularity_is_the_number_of_train_acquisitions(rows: RivalRows, chosen: Settings) -> None:
    fitted = RIVALS[POPULARITY].fit(rows, chosen)
    expected = [sum(bool(rows.outcomes.acquired[row, product]) for row in range(TRAIN)) for product in range(PRODUCTS)]
    assert fitted.score(rows.outcomes.held[-2:]).tolist() == [expected, expected]


def test_item_knn_adds_up_cosines_with_what_is_held() -> None:
    held = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]], dtype=float)
    similarity = cosine_similarity(held)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2 / np.sqrt(3 * 2)
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(3 * 2)
    expected[1, 2] = expected[2, 1] = 1 / np.sqrt(2 * 2)
    np.testing.assert_allclose(similarity, expected, rtol=1e-12)  # the last product is never held: no similarity
    few = RivalRows(
        Outcomes(np.arange(4), held.astype(bool), np.array([[0, 0, 0, 1], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], bool)),
        np.arange(4), np.arange(0), np.zeros((4, 0)), np.arange(0),
    )  # fmt: skip
    scored = (
        RIVALS[ITEM_KNN]
        .fit(few, load_settings("synthetic", "smoke"))
        .score(np.array([[True, True, False, False], [False] * 4]))
    )
    np.testing.assert_allclose(scored[0], [expected[0, 1], expected[0, 1], expected[0, 2] + expected[1, 2], 0])
    assert scored[1].tolist() == [0, 1, 0, 2]  # who holds nothing is shown what is popular


def test_ease_is_a_ridge_regression_of_each_product_on_the_others(rows: RivalRows) -> None:
    held, penalty = rows.train_held, 25.0
    weights = ease_weights(held, penalty)
    for product in range(PRODUCTS):
        others = [other for other in range(PRODUCTS) if other != product]
        # Ridge as least squares on rows that the penalty adds.
        design = np.vstack([held[:, others], np.sqrt(penalty) * np.eye(len(others))])
        target = np.concatenate([held[:, product], np.zeros(len(others))])
        expected, *_ = np.linalg.lstsq(design, target, rcond=None)
        np.testing.assert_allclose(weights[others, product], expected, rtol=1e-8, atol=1e-10)
        assert weights[product, product] == 0


def test_als_folds_a_customer_in_as_implicit_itself_recommends(rows: RivalRows) -> None:
    held = rows.outcomes.held[:TRAIN]
    model = als_model(held, factors=3, regularization=2.0, confidence=4.0, iterations=5, seed=1)
    scored, items = fold_in(model, held), sparse.csr_matrix(held.astype(np.float32))
    for customer in (0, 17, 400):
        ids, scores = model.recommend(
            customer, items[customer], N=PRODUCTS, filter_already_liked_items=False, recalculate_user=True
        )
        np.testing.assert_allclose(scored[customer, ids], scores, rtol=1e-5)
        assert ids[0] == scored[customer].argmax()


def test_als_solves_the_weighted_least_squares_of_its_paper(rows: RivalRows) -> None:
    model = als_model(rows.outcomes.held[:TRAIN], factors=3, regularization=2.0, confidence=4.0, iterations=5, seed=1)
    assert isinstance(model, AlternatingLeastSquares)
    items, held = model.item_factors.astype(float), rows.outcomes.held[-1]
    weight = np.where(held, 4.0, 1.0)
    factors = np.linalg.solve(items.T @ (weight[:, None] * items) + 2.0 * np.eye(3), items.T @ (weight * held))
    np.testing.assert_allclose(fold_in(model, held[None])[0], items @ factors, rtol=1e-4, atol=1e-5)


def test_als_is_the_same_in_every_run(rows: RivalRows, chosen: Settings) -> None:
    first, second = (RIVALS[ALS].fit(rows, chosen).score(rows.outcomes.held) for _ in range(2))
    assert np.array_equal(first, second)


def test_trees_read_the_columns_that_models_may_read_and_no_row_that_holds_the_product(
    rows: RivalRows, chosen: Settings
) -> None:
    fitted = RIVALS[PRODUCT_TREES].fit(rows, chosen)
    held, X = rows.outcomes.held, rows.X
    scored = fitted.score(held, X)
    high = X[:, 0] > 0.8
    assert scored[high, 4].mean() > 0.5
    assert scored[~high, 4].mean() < 0.1
    withheld = X.copy()
    withheld[:, 1] = 1e6
    assert np.array_equal(fitted.score(held, withheld), scored)
    # The columns of rows that hold a product change hands among them: the bins stay, and so does that product's model.
    holders, exchanged = np.flatnonzero(held[SPLITS[0], 4]), X.copy()
    exchanged[holders] = X[holders[::-1]]
    again = RIVALS[PRODUCT_TREES].fit(replace(rows, X=exchanged), chosen).score(held, X)
    assert [np.array_equal(again[:, product], scored[:, product]) for product in (4, 3)] == [True, False]
    assert fitted.facts["columns"] == 4
    assert len(fitted.facts["rounds"]) == PRODUCTS


def test_a_product_that_nobody_acquires_in_train_has_no_trees(rows: RivalRows, chosen: Settings) -> None:
    acquired = rows.outcomes.acquired.copy()
    acquired[:, 2] = False
    few = replace(rows, outcomes=Outcomes(rows.outcomes.customer, rows.outcomes.held, acquired))
    fitted = RIVALS[PRODUCT_TREES].fit(few, chosen)
    assert fitted.facts["rounds"][2] == 0
    assert (fitted.score(rows.outcomes.held, rows.X)[:, 2] == 0).all()
    with pytest.raises(GateError, match="was given holdings alone"):
        fitted.score(rows.outcomes.held)


@pytest.mark.parametrize("name", list(RIVALS))
def test_test_rows_never_matter(rows: RivalRows, chosen: Settings, name: str) -> None:
    held, X = rows.outcomes.held, rows.X
    first = RIVALS[name].fit(rows, chosen)
    second = RIVALS[name].fit(spoilt(rows, SPLITS[2], holdings=True), chosen)
    assert first.facts == second.facts
    assert np.array_equal(first.score(held, X), second.score(held, X))


@pytest.mark.parametrize("name", [POPULARITY, ITEM_KNN, EASE, ALS])
def test_validation_chooses_among_candidates_and_does_nothing_else(
    rows: RivalRows, chosen: Settings, name: str
) -> None:
    held = rows.outcomes.held
    found = RIVALS[name].fit(spoilt(rows, SPLITS[1], holdings=True), chosen)
    grid = {EASE: "penalties", ALS: "regularization"}.get(name)
    if grid is None:
        assert np.array_equal(found.score(held), RIVALS[name].fit(rows, chosen).score(held))
        return
    values = getattr(getattr(chosen.lists, name), grid)
    alone = [
        RIVALS[name].fit(rows, load_settings("synthetic", "smoke", overrides={"lists": GRID | {name: GRID[name] | {grid: [v]}}}))
        for v in values
    ]  # fmt: skip
    assert sum(np.array_equal(found.score(held), one.score(held)) for one in alone) == 1


def test_the_candidate_that_validation_likes_best_is_kept(rows: RivalRows) -> None:
    outcomes = rows.outcomes
    validation = outcomes.take(rows.validation)

    def fit(parameters: dict[str, float]):
        return lambda held, _: np.where(np.arange(PRODUCTS) == parameters["first"], 1.0, 0.0) + np.zeros(held.shape)

    candidates = [{"first": first} for first in range(PRODUCTS)]
    found = choose("one product first", candidates, fit, rows)
    reached = [mean_ndcg(fit(each)(validation.held, None), validation) for each in candidates]
    assert found.facts["first"] == int(np.argmax(reached))
    assert [each["ndcg_at_3"] for each in found.facts["validation"]] == reached
    twins = [{"first": 0, "name": "one"}, {"first": 0, "name": "other"}]
    assert choose("one product first", twins, fit, rows).facts["name"] == "one"
    nobody = replace(rows, validation=np.flatnonzero(~outcomes.acquires)[:5])
    assert choose("one product first", candidates, fit, nobody).facts["first"] == 0


def test_holdings_beat_popularity_and_columns_beat_holdings_where_they_say_something(
    rows: RivalRows, chosen: Settings
) -> None:
    test = rows.outcomes.take(SPLITS[2])
    reached = {
        name: mean_ndcg(rival.fit(rows, chosen).score(test.held, rows.X[SPLITS[2]]), test)
        for name, rival in RIVALS.items()
    }
    assert reached[EASE] > reached[POPULARITY] + 0.02
    assert reached[PRODUCT_TREES] > max(reached[name] for name in RIVALS if RIVALS[name].simple) + 0.02


def test_or_popularity_replaces_the_scores_of_who_holds_nothing_alone() -> None:
    held = np.array([[True, False], [False, False]])
    assert or_popularity(np.full((2, 2), 7.0), held, np.array([3, 4])).tolist() == [[7, 7], [3, 4]]


def test_outcomes_of_other_rows_are_refused_beside_a_matrix(panel, small: Settings) -> None:
    held = np.zeros((len(panel), 3), dtype=bool)
    fine = RivalRows.of(panel, Outcomes(panel.customer, held, ~held), small)
    withheld = [place for place, name in enumerate(panel.columns) if small.inputs.withholds(name)]
    assert sorted([*fine.columns.tolist(), *withheld]) == list(range(len(panel.columns)))
    assert withheld
    span = panel.rows("validation")
    assert fine.validation.tolist() == list(range(span.start, span.stop))
    assert set(panel.split[fine.train]) == {"train"}
    with pytest.raises(GateError, match="are not of the"):
        RivalRows.of(panel, Outcomes(panel.customer[::-1], held, ~held), small)


def test_every_simple_rival_is_told_from_the_others() -> None:
    assert [name for name, rival in RIVALS.items() if rival.simple] == [POPULARITY, ITEM_KNN, EASE, ALS]
    assert len({rival.title for rival in RIVALS.values()}) == len(RIVALS)
    assert all(rival.what for rival in RIVALS.values())
