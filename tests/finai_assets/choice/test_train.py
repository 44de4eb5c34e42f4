"""Weights come from train rows, the penalty from validation rows, and test rows are only reported on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from finai_assets.choice.fit import log_shares
from finai_assets.choice.model import to_file
from finai_assets.choice.train import ChoiceResult, acquiring, fit_again, train_choice
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.settings import Settings, load_settings
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import GateError

SIZES = {"train": 600, "validation": 250, "test": 200}
PRODUCTS = 24
READ = ("amount", "gender_code", "visits")  # what students read; gender is withheld from every model
HELD = tuple(f"held_{at}" for at in range(PRODUCTS))
COLUMNS = ("visits", *HELD, "other", "gender_code", "amount")


def settings_of(*penalties: float) -> Settings:
    chosen = {"penalties": list(penalties), "rank": 4, "iterations": 40}
    return load_settings("synthetic", "smoke", overrides={"choice": chosen})


@pytest.fixture(scope="module")
def panel() -> tuple[TrainingMatrix, Outcomes]:
    """Return customers of whom most acquire one product, which depends on what they spend and hold."""
    random, count = np.random.default_rng(0), sum(SIZES.values())
    held = random.random((count, PRODUCTS)) < 0.2
    amount, visits = random.lognormal(8.0, 2.0, count), random.poisson(3.0, count).astype(float)
    signal = [visits, *held.T.astype(float), random.normal(size=count), random.random(count) > 0.5, amount]
    X = np.column_stack(signal).astype(np.float32)
    X[random.random(count) < 0.1, -1] = np.nan
    tilt = np.linspace(-2.0, 2.0, PRODUCTS)
    scores = (np.log(amount) - 8.0)[:, None] * tilt / 2.0 + held[:, :1] * tilt[::-1] + random.gumbel(size=held.shape)
    best = np.where(held, -np.inf, scores).argmax(axis=1)
    acquired = np.zeros_like(held)
    acquired[np.arange(count), best] = random.random(count) < 0.8
    split = np.repeat(list(SIZES), list(SIZES.values()))
    month = np.repeat(["2015-01", "2015-04", "2015-07"], list(SIZES.values()))
    customer = np.concatenate([np.arange(size, dtype=np.int64) for size in SIZES.values()])
    matrix = TrainingMatrix(X, customer, month, split, {}, {}, COLUMNS, ())
    return matrix, Outcomes(customer, held, acquired)


def trained(panel: tuple[TrainingMatrix, Outcomes], settings: Settings) -> ChoiceResult:
    return train_choice(*panel, settings, columns=READ, held=HELD)


def spoiled(panel: tuple[TrainingMatrix, Outcomes], split: str) -> tuple[TrainingMatrix, Outcomes]:
    """Return the panel with garbage in the rows of a split: features, holdings and acquisitions."""
    matrix, outcomes = panel
    random, rows = np.random.default_rng(9), matrix.rows(split)
    X, held, acquired = matrix.X.copy(), outcomes.held.copy(), outcomes.acquired.copy()
    X[rows] = random.choice(np.array([1e30, -1e30, 0.0, np.nan, np.inf], np.float32), X[rows].shape)
    held[rows] = random.random(held[rows].shape) < 0.5
    acquired[rows] = ~held[rows] & (random.random(held[rows].shape) < 0.3)
    return replace(matrix, X=X), Outcomes(outcomes.customer, held, acquired)


def files(result: ChoiceResult) -> bytes:
    return to_file(result.models, {})


@pytest.fixture(scope="module")
def result(panel: tuple[TrainingMatrix, Outcomes]) -> ChoiceResult:
    return trained(panel, settings_of(0.3, 0.03, 0.01))


def test_the_first_model_reads_the_students_columns_and_holdings_the_second_holdings_and_neither_what_is_withheld(
    result: ChoiceResult,
) -> None:
    assert list(result.models) == ["columns", "holdings"]
    assert result.models["columns"].columns == ("visits", *HELD, "amount")  # in the order of the matrix
    assert result.models["holdings"].columns == HELD
    for model in result.models.values():
        assert model.products == tuple(product.code for product in settings_of(1.0).products)
        assert model.weights.shape == (PRODUCTS, len(model.columns))


def test_the_penalty_is_the_one_of_the_least_validation_loss_and_the_models_beat_train_counts(
    result: ChoiceResult,
) -> None:
    for told in result.card["models"].values():
        tried = told["validation_loss_by_penalty"]
        assert list(tried) == ["0.3", "0.03", "0.01"]
        best = min(tried, key=tried.__getitem__)
        assert told["penalty"] == float(best)
        assert told["loss"]["validation"]["model"] == tried[best]
        assert 0 < told["rank"] <= 4
    losses = {name: told["loss"]["test"] for name, told in result.card["models"].items()}
    assert losses["columns"]["model"] < losses["holdings"]["model"] < losses["columns"]["train_counts"]
    json.dumps(result.card, allow_nan=False)


def test_of_penalties_that_are_equally_good_the_larger_is_chosen(
    panel: tuple[TrainingMatrix, Outcomes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finai_assets.choice.train.loss_of", lambda *_: 1.5)
    for told in trained(panel, settings_of(0.1, 0.9, 0.5)).card["models"].values():
        assert told["validation_loss_by_penalty"] == {"0.9": 1.5, "0.5": 1.5, "0.1": 1.5}
        assert told["penalty"] == 0.9


def test_garbage_in_test_rows_changes_neither_model_nor_penalty(
    panel: tuple[TrainingMatrix, Outcomes], result: ChoiceResult
) -> None:
    again = trained(spoiled(panel, "test"), settings_of(0.3, 0.03, 0.01))
    assert files(again) == files(result)

    def of_fit(card: Any) -> Any:
        stored = json.loads(json.dumps(card))
        for told in stored["models"].values():
            for part in ("loss", "rows", "acquisitions"):
                del told[part]["test"]
        return stored

    assert of_fit(again.card) == of_fit(result.card)
    assert again.card != result.card  # the report on test rows alone


def test_the_weights_at_a_penalty_do_not_read_validation_rows(panel: tuple[TrainingMatrix, Outcomes]) -> None:
    settings = settings_of(0.03)
    sound = trained(panel, settings)
    assert files(trained(spoiled(panel, "validation"), settings)) == files(sound)
    assert files(trained(spoiled(panel, "train"), settings)) != files(sound)


def test_customers_who_acquire_nothing_take_no_part(panel: tuple[TrainingMatrix, Outcomes]) -> None:
    matrix, outcomes = panel
    settings, X, held = settings_of(0.03), matrix.X.copy(), outcomes.held.copy()
    idle = ~outcomes.acquired.any(axis=1)
    assert 100 < idle.sum() < 400
    X[idle], held[idle] = 1e6, True
    other = replace(matrix, X=X), Outcomes(outcomes.customer, held, outcomes.acquired)
    assert files(trained(other, settings)) == files(trained(panel, settings))


def test_the_card_tells_the_rows_that_were_fitted_on(
    panel: tuple[TrainingMatrix, Outcomes], result: ChoiceResult
) -> None:
    matrix, outcomes = panel
    for part, split in (("weights", "train"), ("penalty", "validation")):
        rows = acquiring(matrix, outcomes, split)
        assert (matrix.split[rows] == split).all()
        assert result.card["fitted_on"][part] == asdict(FittedRows.of(matrix, rows))
    assert result.card["models"]["columns"]["rows"]["train"] == len(acquiring(matrix, outcomes, "train"))


def test_a_second_run_another_number_of_threads_and_a_fit_again_give_the_same_bits(
    panel: tuple[TrainingMatrix, Outcomes], result: ChoiceResult
) -> None:
    for threads in (1, 2):
        with threadpool_limits(threads):
            again = trained(panel, settings_of(0.3, 0.03, 0.01))
        assert to_file(again.models, again.card) == to_file(result.models, result.card)
    for name, model in result.models.items():
        penalty = result.card["models"][name]["penalty"]
        refitted = fit_again(model, penalty, *panel, settings_of(0.3, 0.03, 0.01))
        assert to_file({name: refitted}, {}) == to_file({name: model}, {})


@pytest.mark.parametrize("split", ["train", "validation"])
def test_without_an_acquisition_to_learn_or_to_choose_from_nothing_is_fitted(
    panel: tuple[TrainingMatrix, Outcomes], split: str
) -> None:
    matrix, outcomes = panel
    acquired = outcomes.acquired.copy()
    acquired[matrix.rows(split)] = False
    with pytest.raises(GateError, match=f"no {split} row"):
        trained((matrix, Outcomes(outcomes.customer, outcomes.held, acquired)), settings_of(0.03))


def test_shares_are_of_what_is_open_and_add_up(panel: tuple[TrainingMatrix, Outcomes], result: ChoiceResult) -> None:
    matrix, outcomes = panel
    model = result.models["holdings"]
    held = outcomes.held[:50].copy()
    held[7] = True
    X = matrix.X[:50, [COLUMNS.index(name) for name in model.columns]]
    found = np.exp(log_shares(model.scores(X), held))
    assert (found[held] == 0.0).all()
    assert found.sum(axis=1) == pytest.approx(np.where(held.all(axis=1), 0.0, 1.0))


def test_where_nothing_says_what_is_held_the_second_model_has_intercepts_alone(
    panel: tuple[TrainingMatrix, Outcomes],
) -> None:
    found = train_choice(*panel, settings_of(0.03), columns=READ, held=())
    assert [len(model.columns) for model in found.models.values()] == [2, 0]
    second = found.models["holdings"]
    assert second.scores(np.zeros((3, 0))).tolist() == [second.intercept.tolist()] * 3
    told = found.card["models"]["holdings"]
    assert told["rank"] == 0
    assert told["loss"]["train"]["model"] < told["loss"]["train"]["train_counts"] + 0.01
