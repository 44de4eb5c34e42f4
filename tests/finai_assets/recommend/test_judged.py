"""What was offered is compared with what was acquired, by a count that a reader can make by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.asset_graph import DECISIONS, OUTCOMES, RECOMMENDATIONS, SNAPSHOTS, TEACHER
from finai_assets.platform import Platform
from finai_assets.recommend import decisions
from finai_assets.recommend.judged import OFFERED, judge_month, markdown, metadata_of, read_decided
from finai_assets.settings import Settings, load_settings
from finai_cli.plan import main_job, stale_assets
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from serving_lambda.bundle import Bundle

MONTH = Month.parse("2015-06")
# customer, held, held a month later, ranked, served, code, removed
ROWS: list[tuple[int, list[int], list[int] | None, list[int], list[int], str | None, dict[int, str]]] = [
    (3, [0], [0, 1], [1, 2, 3], [1, 2, 3], None, {0: "ALREADY_HELD"}),  # a hit at the first place
    (
        4,
        [],
        [9, 3],
        [1, 2, 3],
        [2, 3],
        None,
        {1: "RISK_ABOVE_PROFILE", 9: "AGE_UNKNOWN"},
    ),  # one was served at place two
    (5, [], [1], [1, 2, 3], [], "DO_NOT_CONTACT", {}),
    (8, [], [], [4], [4], None, {}),
    (9, [], None, [4], [4], None, {}),  # gone a month later
]


@pytest.fixture
def settings() -> Settings:
    return load_settings("synthetic", "smoke", overrides={"metrics": {"bootstrap_samples": 20}})


@pytest.fixture
def scored(lake: Lake) -> Lake:
    def write(path: str, month: Month, columns: dict[str, Any]) -> None:
        with lake.write(path, month.key) as out:
            out.write(pa.table(columns))

    held = pa.list_(pa.int16())
    later = [row for row in ROWS if row[2] is not None]
    write(SNAPSHOTS, MONTH, {"customer_id": [row[0] for row in ROWS], "held": pa.array([row[1] for row in ROWS], held)})
    write(
        SNAPSHOTS,
        MONTH + 1,
        {
            "customer_id": [row[0] for row in reversed(later)],
            "held": pa.array([sorted(row[2] or []) for row in reversed(later)], held),
        },
    )
    with lake.write(DECISIONS, MONTH.key) as out:
        out.write(
            pa.Table.from_pylist(
                [
                    {"customer_id": row[0], "ranked": row[3], "served": row[4], "code": row[5], "channels": [],
                     "removed": [{"product_id": product, "code": code} for product, code in row[6].items()]}
                    for row in ROWS
                ],
                decisions.SCHEMA,
            )
        )  # fmt: skip
    shown = [(row[0], product, 2 if row[0] == 4 else 1) for row in reversed(ROWS) for product in row[4]]
    write(
        RECOMMENDATIONS,
        MONTH,
        dict(zip(("customer_id", "product_id", "layer"), map(list, zip(*shown, strict=True)), strict=True)),
    )
    return lake


def test_what_was_offered_is_judged_by_what_was_acquired(scored: Lake, bundle: Bundle, settings: Settings) -> None:
    found = judge_month(LakeSession(scored), MONTH, bundle.ranking, "b1", settings)
    assert json.loads(json.dumps(found)) == found
    assert (found["month"], found["bundle_id"], found["customers"], found["acquiring"]) == ("2015-06", "b1", 5, 3)
    ranked, served = found["lists"]["ranked"], found["lists"]["served"]
    assert [ranked[name]["value"] for name in ("hr_at_1", "hr_at_3")] == pytest.approx([2 / 3, 1.0])
    best = 1 + 1 / np.log2(3)  # of two products that are acquired
    assert ranked["ndcg_at_3"]["value"] == pytest.approx((1 + 0.5 / best + 1) / 3)
    assert served["hr_at_3"]["value"] == pytest.approx(2 / 3)
    assert served["ndcg_at_3"]["value"] == pytest.approx((1 + 1 / np.log2(3) / best) / 3)
    difference = served["ndcg_at_3"]["value"] - found["lists"]["popularity_served"]["ndcg_at_3"]["value"]
    assert found["over_popularity"]["served"]["value"] == pytest.approx(difference)
    assert found["removed"] == {"AGE_UNKNOWN": 1}  # product 9, which customer 4 acquired
    assert {code: (of["customers"], of["acquiring"]) for code, of in found["not_offered"].items()} == {
        "DO_NOT_CONTACT": (1, 1),
        OFFERED: (4, 2),
    }
    layers = found["layers"]
    assert [(layers[at]["served"], layers[at]["acquired"], layers[at]["share"]["value"]) for at in "12"] == [
        (5, 1, 0.2),
        (2, 1, 0.5),
    ]
    families = found["families"]
    assert set(families) == {settings.families[product.family] for product in bundle.ranking.products}
    assert sum(of["served"] for of in families.values()) == 7
    assert sum(of["acquired"] for of in families.values()) == 2
    assert sum(of["acquisitions"] for of in families.values()) == 4
    assert f"| layer 2 | 2 | 1 | {0.5:.3f}" in markdown(found)
    assert metadata_of(found)["hr_at_3 of what was served"] == pytest.approx(2 / 3)


def test_popularity_is_filtered_like_what_was_served(scored: Lake, bundle: Bundle) -> None:
    decided = read_decided(LakeSession(scored), MONTH, 24)
    assert decided.open.sum(axis=1).tolist() == [23, 22, 0, 24, 24]
    assert not decided.open[1, 9]


def test_a_month_that_has_not_matured_or_was_not_scored_is_refused(
    scored: Lake, bundle: Bundle, settings: Settings
) -> None:
    with pytest.raises(LakeError, match="2015-08"):
        judge_month(LakeSession(scored), MONTH + 2, bundle.ranking, "b1", settings)
    with pytest.raises(LakeError, match="2015-08"):
        judge_month(LakeSession(scored), MONTH, bundle.ranking, "b1", settings.model_copy(update={"horizon_months": 2}))


def test_a_run_judges_the_matured_months_that_were_scored_and_no_other(lake: Lake, settings: Settings) -> None:
    platform = Platform.of(settings)
    (stage,) = [stage for stage in main_job(platform) if stage.name == "judge"]
    last = settings.dataset.raw_months.last
    assert all(unit.month is not None and unit.month + settings.horizon_months <= last for unit in stage.units)
    assert [unit for unit in stage.units if stale_assets(lake, platform, unit, [])] == []
    first = stage.units[0]
    with lake.write(DECISIONS, first.partition) as out:
        out.write(pa.table({"customer_id": [1]}))
    assert [unit for unit in stage.units if stale_assets(lake, platform, unit, [])] == [first]


def test_nothing_learns_from_outcomes(settings: Settings) -> None:
    graph = Platform.of(settings).graph
    assert TEACHER in graph.paths
    assert not [path for path in graph.paths for upstream, _ in graph.reads(path) if upstream == OUTCOMES]
