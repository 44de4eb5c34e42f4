"""C31 and C32 block, and find by their own statement exactly what the filters remove."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.asset_graph import (
    ASSET_BANDS,
    CONSENTS,
    CONTACTS,
    DECISIONS,
    PRODUCT_TERMS,
    PRODUCTS,
    RECOMMENDATIONS,
    RISK_PROFILES,
    SNAPSHOTS,
)
from finai_assets.platform import Platform
from finai_assets.recommend.decisions import decisions_of
from finai_assets.recommend.offered import offered_to
from finai_assets.recommend.standing import Standings
from finai_assets.settings import Settings, load_settings
from finai_checks.framework.check import CheckContext
from finai_checks.offering import canaries
from finai_checks.offering.checks import KINDS, declare_checks
from finai_checks.offering.consent import no_leak
from finai_checks.offering.offers import Offers
from finai_checks.offering.suitability import suitable
from finai_checks.proof import run_canaries
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from serving_lambda.catalogue import products_of
from serving_lambda.offering import Offering

MONTH, N, BANDS = Month.parse("2015-05"), 300, ("under_10m", "10m_to_50m", "50m_to_100m", "from_100m")
DAY = np.datetime64(MONTH.cutoff.date())


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("synthetic", "smoke")


def terms(products: int) -> dict[str, list[Any]]:
    limits: dict[str, list[Any]] = {
        name: [None] * products for name in ("minimum_age", "maximum_age", "minimum_asset_band")
    }
    limits["maximum_age"][3], limits["minimum_age"][17], limits["minimum_asset_band"][18] = 34, 19, "from_100m"
    limits["minimum_asset_band"][10] = "10m_to_50m"
    return limits


@pytest.fixture(scope="module")
def world(settings: Settings) -> Any:
    """Customers of every standing, their tables, and what the filters leave of the catalogue."""
    rng, ids = np.random.default_rng(4), np.arange(N) * 2 + 5
    catalogue, limits = settings.products, terms(len(settings.products))
    grade = rng.integers(0, 7, N).astype(np.int8)
    expires = np.where(grade == 0, np.datetime64("NaT"), DAY + rng.integers(-2, 3, N)).astype("datetime64[D]")
    age = np.where(rng.random(N) < 0.1, np.nan, rng.integers(10, 90, N))
    standing = Standings(
        np.full(N, DAY), grade, expires, rng.integers(-1, 4, N).astype(np.int8), rng.random((N, 4)) < 0.3,
        rng.random(N) < 0.8, rng.random(N) < 0.2, np.ones(N, bool), rng.integers(0, 7, N),
    )  # fmt: skip
    entries = [
        {"product_id": at, "code": product.code, "name": "", "name_ko": "", "family": 0, "sets": [], "disclosures": [],
         "product_class": product.product_class, "risk_grade": product.risk_grade, "benefits": [],
         **{name: values[at] for name, values in limits.items()}}
        for at, product in enumerate(catalogue)
    ]  # fmt: skip
    ranking = SimpleNamespace(products=products_of(entries), exclude_held=True)
    bundle: Any = SimpleNamespace(
        ranking=ranking, offering=Offering.of(settings.offering.model_dump(mode="json"), BANDS)
    )
    offered = offered_to(bundle, np.zeros((N, len(catalogue)), bool), age, standing)
    products = pa.table(
        {
            "product_id": pa.array(range(len(catalogue)), pa.int16()),
            "product_class": [product.product_class for product in catalogue],
            "risk_grade": pa.array([product.risk_grade for product in catalogue], pa.int8()),
        }
    )
    tables = {
        PRODUCTS: products,
        PRODUCT_TERMS: pa.table(
            {
                "product_id": products["product_id"],
                "minimum_age": pa.array(limits["minimum_age"], pa.int16()),
                "maximum_age": pa.array(limits["maximum_age"], pa.int16()),
                "minimum_asset_band": pa.array(limits["minimum_asset_band"], pa.string()),
            }
        ),
        SNAPSHOTS: pa.table(
            {"customer_id": ids, "age": pa.array(age, pa.float64(), from_pandas=True).cast(pa.int16())}
        ),
        RISK_PROFILES: pa.table({"customer_id": ids, "grade": grade, "expires_on": pa.array(expires)}).filter(
            pa.array(grade > 0)
        ),
        ASSET_BANDS: pa.table(
            {"customer_id": ids, "band": pa.array([None if b < 0 else BANDS[b] for b in standing.band], pa.string())}
        ).drop_null(),
        CONSENTS: consents(ids, standing),
        CONTACTS: pa.table(
            {
                "customer_id": np.repeat(ids, standing.messages),
                "ts": pa.array(np.full(standing.messages.sum(), DAY - 3, "datetime64[us]")),
            }
        ),
    }
    return SimpleNamespace(ids=ids, standing=standing, offered=offered, tables=tables)


def consents(ids: np.ndarray, standing: Standings) -> pa.Table:
    rows = [(ids[at], "marketing", name) for at in range(N) for name, given in
            zip(("app", "call", "email", "sms"), standing.marketing[at], strict=True) if given]  # fmt: skip
    rows += [(ids[at], "automated_decision", None) for at in np.flatnonzero(standing.automated)]
    rows += [(ids[at], "do_not_contact", None) for at in np.flatnonzero(standing.do_not_contact)]
    customer, purpose, channel = zip(*rows, strict=True)
    return pa.table(
        {
            "customer_id": pa.array(customer, pa.int64()),
            "purpose": pa.array(purpose),
            "channel": pa.array(channel, pa.string()),
            "given_on": pa.array([MONTH.start.date()] * len(rows), pa.date32()),
            "withdrawn_on": pa.nulls(len(rows), pa.date32()),
        }
    )


def offers(world: Any, chosen: np.ndarray) -> Offers:
    """Return the month in which each customer is offered the chosen products: bool [n, products]."""
    customer, product = np.nonzero(chosen)
    width = int(chosen.sum(axis=1).max(initial=1))
    served = np.full((N, width), -1)
    for at in range(N):
        served[at, : chosen[at].sum()] = np.flatnonzero(chosen[at])
    recommendations = pa.table({"customer_id": world.ids[customer], "product_id": pa.array(product, pa.int16())})
    decisions = decisions_of(world.ids, served, served, world.offered, world.standing)
    named = [world.tables[path] for path in (SNAPSHOTS, PRODUCTS, PRODUCT_TERMS, RISK_PROFILES, ASSET_BANDS)]
    return Offers(
        MONTH.cutoff.date(), recommendations, decisions, *named, world.tables[CONSENTS], world.tables[CONTACTS]
    )


def test_every_canary_is_answered_rightly(settings: Settings) -> None:
    proofs = run_canaries(canaries.plain_canaries(settings))
    assert [result.as_dict() for each in proofs for result in each.results if not result.right] == []
    assert {each.kind for each in proofs if each.proved} >= set(KINDS)


def test_all_that_passes_the_filters_passes_both_checks(world: Any, settings: Settings) -> None:
    sound = offers(world, world.offered.open)
    assert sound.recommendations.num_rows > N / 2
    assert suitable(sound, settings.offering, BANDS).passed
    judged = no_leak(sound, settings.offering)
    assert judged.passed, judged.reason
    assert judged.n == N


def test_every_product_that_a_filter_removes_is_found_and_no_other(world: Any, settings: Settings) -> None:
    """Offer everything to everyone: what is wrong is counted by customer and product, and agrees with the filters."""
    everything = offers(world, np.ones_like(world.offered.open))
    told = suitable(everything, settings.offering, BANDS)
    removed = world.offered.removed != ""
    assert not told.passed
    for at in range(0, N, 7):
        for product in range(removed.shape[1]):
            one = replace(
                everything,
                recommendations=pa.table(
                    {"customer_id": world.ids[at : at + 1], "product_id": pa.array([product], pa.int16())}
                ),
            )
            assert suitable(one, settings.offering, BANDS).passed is not removed[at, product]


def test_every_customer_whom_a_stop_holds_back_is_found_and_no_other(world: Any, settings: Settings) -> None:
    for at in range(0, N, 3):
        chosen = np.zeros_like(world.offered.open)
        chosen[at, 0] = True
        rows = no_leak(offers(world, chosen), settings.offering).table
        assert all(row["passed"] for row in rows) is (world.offered.stopped[at] == "")


def test_all_sit_on_the_recommendations_of_every_month_and_block(settings: Settings) -> None:
    declared = declare_checks(Platform.of(settings))
    months = tuple(settings.dataset.snapshot_months)
    assert [(check.asset, check.blocking, check.months) for check in declared] == [(RECOMMENDATIONS, True, months)] * 3
    assert {check.name for check in declared} == {kind.name for kind in KINDS}


def test_what_is_stored_is_judged(world: Any, settings: Settings, lake: Lake) -> None:
    """A month is read from the lake, tables of another month do not count, and a wrong product of one customer is found."""
    sound = offers(world, world.offered.open)
    wrong = world.offered.open.copy()
    at = np.flatnonzero(world.offered.stopped == "")[0]
    wrong[at, np.flatnonzero(world.offered.removed[at] != "")[0]] = True
    for found, passed in ((sound, True), (offers(world, wrong), False)):
        tables = {**world.tables, RECOMMENDATIONS: found.recommendations, DECISIONS: found.decisions}
        for path, table in tables.items():
            with lake.write(path, None if path in {PRODUCTS, PRODUCT_TERMS} else MONTH.key) as out:
                out.write(table)
        context = CheckContext(LakeSession(lake), Platform.of(settings), MONTH)
        assert [check.evaluate(context).passed for check in declare_checks(Platform.of(settings))[:2]] == [passed, True]
