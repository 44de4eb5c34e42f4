from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finai_assets.teacher.layout import Layout, layout_of
from finai_assets.teacher.normalise import Normaliser, log_log_r2
from finai_assets.training.side import SideTensor
from finai_resources.errors import GateError


@pytest.fixture
def simple(small):
    """Columns: money (a power law), age, a flag, a code."""
    layout = Layout(("money", "age", "flag", "code"), ("a",) * 4, ("continuous", "continuous", "binary", "code"),
                    (0.0, None, 0.0, 0.0), ())  # fmt: skip
    random = np.random.default_rng(3)
    X = np.empty((3000, 4), np.float32)
    X[:, 0] = random.pareto(1.5, 3000)
    X[:, 1] = random.normal(40, 10, 3000)
    X[:, 2] = random.random(3000) < 0.5
    X[:, 3] = random.integers(0, 4, 3000)
    X[::7, 1] = np.nan
    return X, layout, small.teacher.normalise


def test_a_power_law_gets_a_log_copy_that_is_not_rescaled_and_nothing_else_does(simple):
    X, layout, settings = simple
    fitted = Normaliser.fit(X, slice(0, 2000), layout, settings)
    assert fitted.log_of.tolist() == [0]
    copy = np.log1p(X[:, 0].astype(np.float64))
    np.testing.assert_allclose(fitted.transform(X)[:, 4], copy - copy[:2000].mean(), rtol=1e-5, atol=1e-6)


def test_continuous_columns_have_train_mean_zero_and_deviation_one_with_missing_values_left_out(simple):
    X, layout, settings = simple
    fitted = Normaliser.fit(X, slice(0, 2000), layout, settings)
    age = X[:2000, 1].astype(np.float64)
    assert fitted.mean[1] == pytest.approx(np.nanmean(age))
    assert fitted.std[1] == pytest.approx(np.nanstd(age))
    out = fitted.transform(X[:2000])[:, 1]
    assert np.all(out[np.isnan(age)] == 0)
    assert out[~np.isnan(age)].mean() == pytest.approx(0, abs=1e-4)


def test_flags_stay_and_codes_move_up_by_one_with_unseen_and_missing_at_zero(simple):
    X, layout, settings = simple
    fitted = Normaliser.fit(X, slice(0, 2000), layout, settings)
    rows = np.array([[1, 1, 1, 0], [1, 1, 0, 3], [1, 1, 1, 4], [1, 1, 1, np.nan]], np.float32)
    out = fitted.transform(rows)
    assert out[:, 2].tolist() == [1, 0, 1, 1]
    assert out[:, 3].tolist() == [1, 4, 0, 0]
    assert fitted.codes[3] == 5


def test_rows_outside_train_do_not_reach_the_fit(simple):
    X, layout, settings = simple
    changed = X.copy()
    changed[2000:] = 1e6
    fits = [Normaliser.fit(x, slice(0, 2000), layout, settings).to_bytes() for x in (X, changed)]
    assert fits[0] == fits[1]
    assert Normaliser.fit(changed, slice(0, 2001), layout, settings).to_bytes() != fits[0]


def test_a_refit_equals_and_the_stored_state_transforms_the_same(simple):
    X, layout, settings = simple
    fitted = Normaliser.fit(X, slice(0, 2000), layout, settings)
    assert Normaliser.fit(X, slice(0, 2000), layout, settings).to_bytes() == fitted.to_bytes()
    stored = Normaliser.from_bytes(fitted.to_bytes())
    np.testing.assert_array_equal(stored.transform(X), fitted.transform(X))
    assert stored.layout == fitted.layout


def test_the_fit_does_not_depend_on_how_rows_are_chunked(simple, monkeypatch):
    X, layout, settings = simple
    whole = Normaliser.fit(X, slice(0, 2000), layout, settings).to_bytes()
    monkeypatch.setattr("finai_assets.teacher.normalise._CHUNK_ROWS", 77)
    parts = Normaliser.fit(X, slice(0, 2000), layout, settings)
    np.testing.assert_allclose(parts.transform(X), Normaliser.from_bytes(whole).transform(X), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(parts.std, Normaliser.from_bytes(whole).std)


@pytest.mark.parametrize(("value", "column"), [(np.inf, 0), (-np.inf, 1), (-2, 3), (1.5, 3)])
def test_an_infinite_value_or_a_broken_code_is_refused_by_name(simple, value, column):
    X, layout, settings = simple
    X[5, column] = value
    with pytest.raises(GateError, match=layout.columns[column]):
        Normaliser.fit(X, slice(0, 2000), layout, settings)


def test_a_column_that_does_not_vary_becomes_zero_and_not_infinite(simple):
    X, layout, settings = simple
    X[:, 1] = 7
    out = Normaliser.fit(X, slice(0, 2000), layout, settings).transform(X)
    assert np.all(out[:, 1] == 0)


def test_a_sequence_is_standardised_by_channel_and_its_length_is_its_mask(panel, registry, small, normaliser):
    sequence = normaliser.layout.sequences[0]
    assert [channel.kind for channel in sequence.channels] == ["continuous", "code", "continuous", "continuous"]
    amount = list(sequence.channels[0].positions)
    train = panel.X[panel.rows("train")][:, amount].astype(np.float64)
    assert normaliser.mean[amount] == pytest.approx(np.nanmean(train))
    assert normaliser.std[amount] == pytest.approx(np.nanstd(train))
    out = normaliser.transform(panel.X[:50], None if panel.side is None else panel.side[:50])
    lengths = out[:, normaliser.tensors_first - 1]
    np.testing.assert_array_equal(lengths, (~np.isnan(panel.X[:50][:, amount])).sum(1))
    assert not np.isnan(out).any()


def test_columns_other_than_the_registrys_are_refused(panel, registry, small):
    with pytest.raises(GateError, match="order"):
        layout_of(registry, small, panel.columns[::-1], panel.tensors)
    with pytest.raises(GateError, match=panel.columns[0]):
        layout_of(registry, small, panel.columns[1:], panel.tensors)


def test_rows_of_another_width_are_refused(normaliser, panel):
    with pytest.raises(GateError, match="fitted on 1211 columns"):
        normaliser.transform(panel.X[:, :-1], panel.side)


def test_the_layout_survives_json(normaliser):
    assert Layout.from_dict(normaliser.layout.to_dict()) == normaliser.layout
    assert replace(normaliser.layout, sequences=()) != normaliser.layout


def test_a_pareto_tail_is_straight_in_the_log_log_plot_and_a_normal_one_is_not():
    random = np.random.default_rng(0)
    assert log_log_r2(random.pareto(1.5, 5000)) > 0.98
    assert log_log_r2(np.abs(random.normal(0, 1, 5000))) < 0.95
    assert log_log_r2(np.zeros(100)) == 0


@pytest.fixture
def shaped(simple):
    """The simple columns with a diagram tensor of (2, 3, 2) and a measure of 5 behind them."""
    X, layout, settings = simple
    random = np.random.default_rng(5)
    diagrams = np.zeros((3000, 2, 3, 2), np.float32)
    diagrams[..., 0] = random.exponential(40, (3000, 2, 3))
    diagrams[..., 1] = diagrams[..., 0] + random.exponential(100, (3000, 2, 3))
    diagrams[:, :, 1:] *= random.random((3000, 2, 2, 1)) < 0.4
    side = np.hstack([diagrams.reshape(3000, 12), random.dirichlet(np.ones(5), 3000)]).astype(np.float32)
    tensors = (SideTensor("a", "diagrams", (2, 3, 2)), SideTensor("a", "spend_measure", (5,)))
    return X, side, replace(layout, tensors=tensors), settings


def test_diagrams_are_divided_by_one_train_scale_and_a_measure_stays(shaped):
    X, side, layout, settings = shaped
    fitted = Normaliser.fit(X, slice(0, 2000), layout, settings, side)
    out = fitted.transform(X, side)[:, fitted.tensors_first :]
    assert out.shape == (3000, 17)
    deaths = side[:2000, 1:12:2].astype(np.float64)
    scale = np.sqrt(np.square(deaths[deaths > 0]).mean())
    assert fitted.tensor_scale.tolist() == pytest.approx([scale, 1.0])
    np.testing.assert_allclose(out[:, :12], side[:, :12] / scale, rtol=1e-6)
    np.testing.assert_array_equal(out[:, 12:], side[:, 12:])
    points = out[:, 1:12:2][out[:, 1:12:2] > 0]
    assert 0.5 < np.sqrt(np.square(points).mean()) < 2
    assert ((side[:, :12] == 0) == (out[:, :12] == 0)).all(), "a point that does not exist stays away"


def test_tensors_outside_train_do_not_reach_their_scale(shaped):
    X, side, layout, settings = shaped
    changed = side.copy()
    changed[2000:] = 1e6
    fits = [Normaliser.fit(X, slice(0, 2000), layout, settings, s).to_bytes() for s in (side, changed)]
    assert fits[0] == fits[1]


def test_a_stored_normaliser_treats_tensors_the_same(shaped):
    X, side, layout, settings = shaped
    fitted = Normaliser.fit(X, slice(0, 2000), layout, settings, side)
    stored = Normaliser.from_bytes(fitted.to_bytes())
    assert stored.layout == layout
    np.testing.assert_array_equal(stored.transform(X, side), fitted.transform(X, side))


def test_tensors_that_are_not_given_or_of_another_width_are_refused(shaped):
    X, side, layout, settings = shaped
    with pytest.raises(GateError, match="17 values"):
        Normaliser.fit(X, slice(0, 2000), layout, settings)
    fitted = Normaliser.fit(X, slice(0, 2000), layout, settings, side)
    for wrong in (None, side[:, :-1], side[:-1]):
        with pytest.raises(GateError, match="17 values"):
            fitted.transform(X, wrong)
    side[7, 3] = np.nan
    with pytest.raises(GateError, match=r"a\.diagrams"):
        Normaliser.fit(X, slice(0, 2000), layout, settings, side)


def test_a_layout_wants_the_tensors_that_experts_are_routed_to(panel, registry, small):
    routing = {**small.teacher.routing, "deepfm": ("demographics", "tda_global")}
    settings = small.model_copy(update={"teacher": small.teacher.model_copy(update={"routing": routing})})
    with pytest.raises(GateError, match=r"tda_global\.diagrams \(2, 32, 2\)"):
        layout_of(registry, settings, panel.columns)
    stored = (SideTensor("tda_global", "diagrams", (2, 32, 2)), SideTensor("tda_local", "diagrams", (2, 32, 2)))
    assert layout_of(registry, settings, panel.columns, stored).tensors == stored
