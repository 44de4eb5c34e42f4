"""The stored truth is the law that labels follow: labels derived from the raw tables are calibrated to it, task by task."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.synthetic import generate
from finai_assets.ingest.synthetic.compile import compile_law, leaf_codes
from finai_assets.ingest.synthetic.spending import draw_from_table, mixture, next_leaf, seconds_at
from finai_assets.ingest.synthetic.truths.holdings import poisson_binomial
from finai_assets.labels.derive import compute_labels
from finai_assets.labels.tasks import Task, build_tasks
from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import month_range

# Standard errors that a right law may be off by: one in 30,000 by chance, per figure; the panel's seed is fixed.
LIMIT = 4.2
KEY = b"a key of the tests, 32 bytes long"
LAW = compile_law(load_settings("synthetic", "smoke"))


@pytest.fixture(scope="session")
def labelled(panel):
    """(task -> label with NaN, truth [rows] or [rows, classes]), over all snapshot months, from the raw tables alone."""
    session = LakeSession(panel.lake)
    for name in ("snapshots", "transactions"):
        for month in panel.lake.partitions(f"source/{name}"):
            with session.write(f"raw/{name}", month, code_version="1") as out:
                out.write(session.read(f"source/{name}", month))
    tasks = build_tasks(panel.settings)
    for month in panel.settings.dataset.snapshot_months:
        compute_labels(session, month, tasks, panel.settings, versions=one_version("1"))
    return {task.name: _read(panel, task) for task in tasks}


def _read(panel, task: Task):
    labels, truths = [], []
    for month in panel.settings.dataset.snapshot_months:
        label, truth = (
            panel.lake.read(f"labels/{task.name}", month.key),
            panel.lake.read(f"truth/{task.name}", month.key),
        )
        assert label["customer_id"].equals(truth["customer_id"])
        labels.append(label["label"].cast(pa.float64()).to_numpy(zero_copy_only=False))
        columns = [truth[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in truth.schema.names[1:]]
        truths.append(np.column_stack(columns))
    return np.concatenate(labels), np.concatenate(truths)


ACQUISITION = [f"will_acquire_{name}" for name in ("deposits", "investments", "accounts", "lending", "payments")]
BINARY = ["churn_signal", "top_mcc_shift", *ACQUISITION]


@pytest.mark.parametrize("task", BINARY)
def test_the_rate_of_a_binary_label_is_its_truth_in_every_tenth(labelled, task: str) -> None:
    label, truth = labelled[task]
    truth = truth[:, 0]
    known = ~np.isnan(label)
    assert not np.isnan(truth[known]).any()  # where a label is defined, so is its truth
    label, truth = label[known], truth[known]
    # a simulated truth is itself off by up to .035 (200 draws), and sorting by it selects its errors
    slack = 0.03 if task == "top_mcc_shift" else 0.0
    for rows in np.array_split(np.argsort(truth, kind="stable"), 10):
        p, spread = truth[rows], np.sqrt((truth[rows] * (1 - truth[rows])).sum())
        assert abs((label[rows] - p).sum()) <= LIMIT * spread + slack * len(rows) + 1e-9
    spread = np.sqrt((truth * (1 - truth)).sum())
    assert abs((label - truth).sum()) <= LIMIT * spread


@pytest.mark.parametrize("task", ["nba_primary", "segment_prediction", "next_mcc"])
def test_the_classes_of_a_multiclass_label_follow_their_truth(panel, labelled, task: str) -> None:
    label, truth = labelled[task]
    known = ~np.isnan(label)
    label, truth = label[known].astype(int), truth[known]
    np.testing.assert_allclose(truth.sum(axis=1), 1.0, atol=1e-5)
    assert (truth >= 0).all()
    if task == "next_mcc":
        label = np.searchsorted(leaf_codes(panel.settings), label)
    for code in range(truth.shape[1]):
        p = truth[:, code]
        assert abs(((label == code) - p).sum()) <= LIMIT * np.sqrt((p * (1 - p)).sum()) + 1e-6, code
    # A law that is right row by row has a log-loss of its own entropy, no more and no less.
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(truth > 0, np.log(truth), 0.0)
    own = logs[np.arange(len(label)), label]
    entropy, second = -(truth * logs).sum(axis=1), (truth * logs**2).sum(axis=1)
    assert (truth[np.arange(len(label)), label] > 0).all()
    assert abs((-own - entropy).sum()) <= LIMIT * np.sqrt((second - entropy**2).sum())


@pytest.mark.parametrize("task", ["product_stability", "cross_sell_count", "mcc_diversity_trend"])
def test_the_mean_of_a_regression_label_is_its_truth_in_every_tenth(labelled, task: str) -> None:
    label, truth = labelled[task]
    known = ~np.isnan(label)
    residual, truth = (label - truth[:, 0])[known], truth[known, 0]
    assert np.isfinite(truth).all()
    for rows in np.array_split(np.argsort(truth, kind="stable"), 10):
        slack = 0.01 * residual[rows].std()  # of the simulated one
        assert abs(residual[rows].mean()) <= LIMIT * residual[rows].std() / np.sqrt(len(rows)) + slack


def test_each_product_is_acquired_as_often_as_its_truth_says_and_none_that_is_held(panel) -> None:
    products, rows = len(panel.settings.products), []
    for month in panel.settings.dataset.snapshot_months:
        truth = panel.lake.read("truth/products", month.key)
        now, later = (
            dict(zip(table["customer_id"].to_pylist(), table["held"].to_pylist(), strict=True))
            for table in (panel.lake.read("source/snapshots", m.key) for m in (month, month + 1))
        )
        assert truth["customer_id"].to_pylist() == list(now)
        assert truth.schema.names == ["customer_id", *(f"p_{product}" for product in range(products))]
        assert {field.type for field in truth.schema if field.name != "customer_id"} == {pa.float32()}
        p = np.column_stack([truth[f"p_{product}"].to_numpy() for product in range(products)]).astype(float)
        held, acquired = np.zeros(p.shape, dtype=bool), np.zeros(p.shape, dtype=bool)
        for row, (customer, before) in enumerate(now.items()):
            held[row, before] = True
            acquired[row, [product for product in later.get(customer, ()) if product not in before]] = True
        rows.append((held, acquired, p))
    held, acquired, p = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    assert (p[held] == 0).all()
    assert (p[~held] > 0).all()
    spread = np.sqrt((p * (1 - p)).sum(axis=0))
    assert (np.abs((acquired - p).sum(axis=0)) <= LIMIT * spread).all()
    for tenth in np.array_split(np.argsort(p[~held], kind="stable"), 10):
        rate, expected = acquired[~held][tenth], p[~held][tenth]
        assert abs((rate - expected).sum()) <= LIMIT * np.sqrt((expected * (1 - expected)).sum())


def test_the_products_truth_agrees_with_the_tasks_truth_of_what_is_acquired(panel) -> None:
    """How many products are acquired is expected as often as each of them, since the expectation of a sum needs no law."""
    months = [month.key for month in panel.settings.dataset.snapshot_months]
    products = pa.concat_tables([panel.lake.read("truth/products", month) for month in months]).to_pandas()
    count = pa.concat_tables([panel.lake.read("truth/cross_sell_count", month) for month in months]).to_pandas()
    expected, known = products.drop(columns="customer_id").sum(axis=1), count["mean"].notna()
    np.testing.assert_allclose(expected[known], count["mean"][known], rtol=1e-5)


def test_the_report_sees_the_labels_that_are_derived_from_the_tables(panel, labelled) -> None:
    for task in build_tasks(panel.settings):
        label, _ = labelled[task.name]
        known = label[~np.isnan(label)]
        figures = panel.report.figures["tasks"][task.name]
        assert figures["rows"] == len(known)
        if task.kind == "multiclass":
            codes = leaf_codes(panel.settings) if task.name == "next_mcc" else np.arange(len(figures["shares"]))
            np.testing.assert_allclose(figures["shares"], [(known == code).mean() for code in codes], atol=1e-12)
        else:
            assert figures["mean"] == pytest.approx(known.mean(), abs=1e-7)


def test_labels_and_truth_follow_the_same_definition_of_churn(tmp_path) -> None:
    chosen = {"churn_signal": {"share": [1, 1], "history_months": 2}}
    settings = load_settings(
        "synthetic", "smoke",
        overrides={"tasks": chosen, "generator": {"customers": 400, "truth_draws": 1}},
    )  # fmt: skip
    lake, months = Lake.on_disk(tmp_path / "lake"), list(settings.dataset.snapshot_months)[:3]
    churn = [task for task in build_tasks(settings) if task.name == "churn_signal"]
    report = generate(settings, KEY, LakeSession(lake), tasks=churn, workers=2, code_version="test")
    session, found = LakeSession(lake), []
    for month in month_range(months[0] - 1, months[-1] + 1):
        with session.write("raw/snapshots", month.key, code_version="1") as out:
            out.write(session.read("source/snapshots", month.key))
    for month in months:
        compute_labels(session, month, churn, settings, versions=one_version("1"))
        label = lake.read("labels/churn_signal", month.key)["label"].to_numpy(zero_copy_only=False)
        truth = lake.read("truth/churn_signal", month.key)["p"].to_numpy(zero_copy_only=False)
        assert report.figures["tasks"]["churn_signal"]["by_month"][month.key] == pytest.approx(
            np.nanmean(label), abs=1e-7
        )
        known = ~np.isnan(label)
        assert (np.isnan(truth) == ~known).all()
        found.append((label[known], truth[known].astype(float)))
    label, truth = (np.concatenate(parts) for parts in zip(*found, strict=True))
    assert label.mean() > 0.1  # with 7/10 of six months it is .05
    assert abs((label - truth).sum()) <= LIMIT * np.sqrt((truth * (1 - truth)).sum())


def test_manifests_say_how_a_truth_was_found(panel) -> None:
    assert panel.lake.manifest("truth/churn_signal", "2015-01").extra == {"method": "closed form"}
    assert panel.lake.manifest("truth/products", "2015-01").extra == {"method": "closed form"}
    extra = panel.lake.manifest("truth/top_mcc_shift", "2015-01").extra
    assert (extra["method"], extra["draws"]) == ("Monte Carlo", 200)
    assert 0 < extra["standard_error"] <= 0.5 / np.sqrt(200)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_the_number_of_successes_has_the_law_of_the_enumeration(probabilities: list[float]) -> None:
    law = poisson_binomial(np.array([probabilities]))[0]
    expected = np.zeros(len(probabilities) + 1)
    for outcome in itertools.product((0, 1), repeat=len(probabilities)):
        expected[sum(outcome)] += np.prod([p if hit else 1 - p for p, hit in zip(probabilities, outcome, strict=True)])
    np.testing.assert_allclose(law, expected, atol=1e-12)


def test_alias_tables_draw_by_the_preferences(settings: Settings) -> None:
    law = compile_law(settings).spending
    rng = np.random.default_rng(3)
    drawn = [draw_from_table(rng, law.alias_share[40], law.alias_other[40]) for _ in range(40_000)]
    share, p = np.bincount(drawn, minlength=50) / 40_000, law.preference[40]
    assert (np.abs(share - p) <= LIMIT * np.sqrt(p * (1 - p) / 40_000)).all()


def test_the_next_category_depends_on_the_order_of_those_before(settings: Settings) -> None:
    """The law after a-then-b differs from that after b-then-a: only the last one counts, so a bag of both can't tell."""
    law = compile_law(settings)
    leaf = {int(code): i for i, code in enumerate(leaf_codes(settings))}
    mix = mixture(0, law.spending, law.dynamics)
    rng, table, favourites = np.random.default_rng(0), 0, np.array([0, 1, 2])

    def shares(last: int) -> np.ndarray:
        arguments = (
            mix,
            favourites,
            law.spending.follows,
            law.spending.alias_share[table],
            law.spending.alias_other[table],
        )
        return np.bincount([next_leaf(rng, last, *arguments) for _ in range(4000)], minlength=50) / 4000

    after_airline, after_hotel = shares(leaf[4511]), shares(leaf[7011])
    assert after_airline[leaf[7011]] > after_hotel[leaf[4511]] + 0.05
    assert np.abs(after_airline - after_hotel).sum() / 2 > 0.3


@given(st.floats(0, 1 - 1e-9), st.integers(0, 5))
def test_times_follow_their_profile_and_keep_their_order(u: float, persona: int) -> None:
    law = LAW.spending
    days, hours = law.day_cdf[1, persona, 0], law.hour_cdf[persona]  # February 2014: 28 days
    second = seconds_at(u, days, hours)
    assert 0 <= second < 28 * 86_400
    assert second <= seconds_at(min(u + 1e-4, 1 - 1e-9), days, hours)
    day, hour = second // 86_400, second % 86_400 / 3_600
    back = days[day] + (days[day + 1] - days[day]) * np.interp(hour, np.arange(25), hours)
    assert back == pytest.approx(u, abs=1e-4)
