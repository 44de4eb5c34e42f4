"""A batch row is the handler's answer, whatever the block, and a month is written block by block."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bundle_fixtures import DAY, KEY, Made, permissive, terms_table, weighed

from finai_assets.bundle.registry import export
from finai_assets.recommend import groups
from finai_assets.recommend.attributed import strongest_of
from finai_assets.recommend.score import SCHEMA, Block, score_block, score_month
from finai_assets.recommend.standing import Standings
from finai_assets.settings import load_settings
from finai_resources.errors import BundleError, ContractError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import watched
from serving_lambda import filters
from serving_lambda.bundle import Bundle, load_bundle, self_test
from serving_lambda.errors import ServingError
from serving_lambda.ports import Ports
from serving_lambda.scorer import PRODUCT_MODEL
from serving_lambda.standing import CHANNELS, Standing

COUNT = 60
AGES = np.array([np.nan if i % 7 == 0 else 20.0 + i for i in range(COUNT)])
SEGMENTS = [None if i % 5 == 0 else "plus" for i in range(COUNT)]


def spoiled(made: Made, bundle: Bundle) -> np.ndarray:
    """Return features of which customers 3 to 13 break the contract: by a missing value, everywhere, or in one place each."""
    X = made.X[:COUNT].copy()
    bounded = [made.registry.names.index(c.name) for c in bundle.columns if c.high is not None]
    X[3, made.registry.names.index(next(c for c in bundle.columns if not c.nullable).name)] = np.nan
    X[4, bounded] = 1e9
    for customer in range(5, 14):
        X[customer, bounded[customer * 7 % len(bounded)]] = 1e9
    return X


def score(
    made: Made, bundle: Bundle, X: np.ndarray, part: slice = slice(None), held: Any = None, **more: Any
) -> pa.Table:
    """Return the recommendations of some customers."""
    return block(made, bundle, X, part, held, **more).recommendations


def block(
    made: Made,
    bundle: Bundle,
    X: np.ndarray,
    part: slice = slice(None),
    held: Any = None,
    standing: Any = None,
    **more: Any,
) -> Block:
    return score_block(
        bundle,
        (np.arange(COUNT, dtype=np.int64) + 1000)[part],
        X[part],
        made.registry.names,
        held=(made.held(COUNT) if held is None else held)[part],
        age=AGES[part],
        segment=SEGMENTS[part],
        standing=(standing or permissive(COUNT)).take(part),
        settings=made.settings,
        **more,
    )


def equals_the_handler(
    made: Made, bundle: Bundle, serving: Callable[..., dict[str, Any]], standing: Standings | None = None, **ports: Any
) -> set[int]:
    """Compare every row of a batch with the handler's answer; return the layers that were met."""
    X, held, standing = spoiled(made, bundle), made.held(COUNT), standing or permissive(COUNT)
    held[:, 16:20] |= np.arange(COUNT)[:, None] % 3 == 1  # whole families and sets are closed to some
    held[17] = 1
    scored = block(made, bundle, X, held=held, standing=standing, **ports)
    rows, decisions = scored.recommendations.to_pylist(), scored.decisions.to_pylist()
    of_each = standing.each(bundle.offering.asset_bands)
    place = [made.registry.names.index(name) for name in bundle.names]
    layers = set()
    for index in range(COUNT):
        values = {n: None if np.isnan(v) else float(v) for n, v in zip(bundle.names, X[index, place], strict=True)}
        request = {
            "customer_id": 1000 + index, "features": values, "held": np.flatnonzero(held[index]).tolist(),
            "age": None if np.isnan(AGES[index]) else int(AGES[index]), "segment": SEGMENTS[index],
            **brought(of_each[index]),
        }  # fmt: skip
        answer = serving(request, **ports)
        shown = answer["recommendations"]
        stored = [row for row in rows if row["customer_id"] == 1000 + index]
        assert [row["rank"] for row in stored] == list(range(1, len(shown) + 1))
        decision, nothing = decisions[index], answer["nothing_offered"]
        assert (decision["customer_id"], decision["served"]) == (1000 + index, [e["product_id"] for e in shown])
        assert decision["code"] == (nothing["code"] if nothing else None)
        assert [(r["product_id"], r["code"]) for r in decision["removed"]] == [
            (r["product_id"], r["code"]) for r in answer["filtered"]
        ]
        assert decision["channels"] == (sorted(of_each[index].marketing or ()) if shown else [])
        assert not set(decision["ranked"]) & set(np.flatnonzero(held[index]))
        for row, entry in zip(stored, shown, strict=True):
            layers.add(entry["layer"])
            assert (row["product_id"], row["product"], row["layer"]) == (
                entry["product_id"],
                entry["product"],
                entry["layer"],
            )
            assert row["score"] == np.float32(entry["score"])
            assert (row["reason_ko"], row["reason_en"]) == (entry["reason"]["ko"], entry["reason"]["en"])
            assert row["explained_by"] == entry["explained_by"]
            assert [(a["column"], a["contribution"]) for a in row["attributions"]] == [
                (a["column"], np.float32(a["contribution"])) for a in entry["attributions"]
            ]
            assert row["bundle_id"] == bundle.bundle_id
            assert [(f["figure"], f["value"], f["base"], f["contribution"]) for f in row["facts"]] == [
                (f["figure"], f["value"], f["base"], f["contribution"]) for f in entry["facts"]
            ]
            assert row["carried"] == np.float32(entry["carried"])
            assert row["not_displayable"] == entry["not_displayable"]
            assert [t["value"] for t in row["terms"]] == [t["value"] for t in entry["terms"] if "value" in t]
    return layers


def brought(standing: Standing) -> dict[str, Any]:
    """Return the fields of a request that bring a standing."""
    return {
        "risk_profile": {"grade": standing.risk_grade, "expires": standing.risk_expires},
        "asset_band": standing.asset_band,
        "consents": {
            "marketing": None if standing.marketing is None else sorted(standing.marketing),
            "automated_decision": standing.automated,
            "do_not_contact": standing.do_not_contact,
        },
        "recent_messages": standing.recent_messages,
    }


class DecidedOn:
    """A clock that stands on the day of the decisions, at noon of its own zone."""

    def seconds(self) -> float:
        return 0.0

    def timestamp(self) -> float:
        return float(DAY.astype("datetime64[s]").astype(np.int64)) + 3600.0


def mixed(seed: int = 8) -> Standings:
    """Return standings of every kind: known and unknown, profiles that expire on the day, too many messages."""
    rng = np.random.default_rng(seed)
    grade = rng.integers(0, 7, COUNT).astype(np.int8)
    expires = np.where(grade == 0, np.datetime64("NaT"), DAY + rng.integers(-2, 3, COUNT)).astype("datetime64[D]")
    return Standings(
        np.full(COUNT, DAY),
        grade,
        expires,
        rng.integers(-1, 4, COUNT).astype(np.int8),
        rng.random((COUNT, len(CHANNELS))) < 0.6,
        rng.random(COUNT) < 0.9,
        rng.random(COUNT) < 0.1,
        rng.random(COUNT) < 0.9,
        rng.integers(-1, 6, COUNT),
    )


LIMITS = {
    "youth_account": {"maximum_age": 34},
    "credit_card": {"minimum_age": 19},
    "premium_card": {"minimum_age": 30, "minimum_asset_band": "from_100m"},
    "wrap_account": {"minimum_asset_band": "10m_to_50m"},
}


def test_decisions_about_customers_of_every_standing_equal_the_handlers_answers(
    made: Made, serving: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = export(made.build(terms=terms_table(made.settings, **LIMITS)), tmp_path / "limited")
    monkeypatch.setenv("FINAI_BUNDLE", str(folder))
    limited = load_bundle(folder, KEY)
    codes: set[str] = set()
    for seed in range(3):
        standing = mixed(seed)
        equals_the_handler(made, limited, serving, standing, ports=Ports(clock=DecidedOn()))
        decisions = block(made, limited, made.X, standing=standing).decisions.to_pylist()
        codes |= {row["code"] for row in decisions} | {gone["code"] for row in decisions for gone in row["removed"]}
    assert codes == {None, *filters.CODES, *filters.STOP_CODES} - {filters.QUIET_HOURS}


def test_a_permission_lifts_what_is_unknown_and_nothing_else(made: Made, bundle: Bundle) -> None:
    nothing = Standings.unknown(np.full(COUNT, DAY))
    assert set(block(made, bundle, made.X, standing=nothing).decisions["code"].to_pylist()) == {"CONSENT_UNKNOWN"}
    permitted = block(made, bundle, made.X, standing=nothing, unknown_permitted=True).decisions.to_pylist()
    assert {row["code"] for row in permitted} == {None}
    assert all(not row["channels"] for row in permitted)  # nobody said where
    objecting = replace(permissive(COUNT), do_not_contact=np.ones(COUNT, bool))
    refused = block(made, bundle, made.X, standing=objecting, unknown_permitted=True).decisions
    assert set(refused["code"].to_pylist()) == {"DO_NOT_CONTACT"}


def test_what_is_ranked_before_constraints_depends_on_no_standing(made: Made, bundle: Bundle) -> None:
    unknown = Standings.unknown(np.full(COUNT, DAY))
    first, second = (
        block(made, bundle, made.X, standing=standing).decisions["ranked"] for standing in (permissive(COUNT), unknown)
    )
    assert first.equals(second)
    assert {len(products) for products in first.to_pylist()} == {made.settings.recommend.top_k}


def test_every_row_equals_the_handlers_answer_for_that_customer(
    made: Made, bundle: Bundle, serving: Callable[..., dict[str, Any]]
) -> None:
    assert equals_the_handler(made, bundle, serving) == {1, 2, 3}


def test_rows_of_layer_2_equal_the_handlers_answers_too(
    made: Made, bundle_folder: Path, serving: Callable[..., dict[str, Any]]
) -> None:
    for path in (bundle_folder / "models").iterdir():
        if not path.name.endswith((".direct.txt", ".holdings.json")):
            path.unlink()
    degraded = load_bundle(bundle_folder, KEY)
    assert degraded.layer_by_task["will_acquire_deposits"] == 2
    assert equals_the_handler(made, degraded, serving) == {2, 3}


@pytest.mark.parametrize("damaged", [("",), ("", ".holdings")])
def test_rows_whose_shares_are_of_a_lower_layer_equal_the_handlers_answers_too(
    made: Made, bundle_folder: Path, serving: Callable[..., dict[str, Any]], damaged: tuple[str, ...]
) -> None:
    for name in damaged:
        (bundle_folder / f"models/product_share{name}.json").unlink()
    lower = load_bundle(bundle_folder, KEY)
    assert lower.layer_by_task[PRODUCT_MODEL] == 1 + len(damaged)
    assert equals_the_handler(made, lower, serving) == {*range(1 + len(damaged), 4)}


def test_rows_under_multipliers_boosts_penalties_and_diversity_equal_the_handlers_answers_too(
    made: Made, serving: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changes = {
        "segment_multipliers": {"plus": {"will_acquire": 1.3, "any_acquisition": 1.1}},
        "rule_boosts": [{"id": "mid", "when": {"age": [30, 50]}, "classes": ["card", "loan"], "factor": 1.7}],
        "risk_penalties": {2: 0.05, 3: 0.01},
        "diversity": {"relevance": 0.6},
    }
    folder = export(made.build(settings=weighed(**changes)), tmp_path / "weighed")
    monkeypatch.setenv("FINAI_BUNDLE", str(folder))
    other = load_bundle(folder, KEY)
    assert equals_the_handler(made, other, serving) == {1, 2, 3}
    assert not score(made, other, made.X)["product_id"].equals(score(made, load(made, tmp_path), made.X)["product_id"])


@pytest.mark.parametrize(
    ("damaged", "layer"), [((), 1), (("nba_primary.txt",), 2), (("product_share.json",), 2),
                           (("product_share.json", "product_share.holdings.json"), 3)],
)  # fmt: skip
def test_rows_under_the_weights_that_are_shipped_equal_the_handlers_answers_too(
    made: Made, shipped_folder: Path, shipped: Callable[..., dict[str, Any]], damaged: tuple[str, ...], layer: int
) -> None:
    for name in damaged:
        (shipped_folder / "models" / name).unlink()
    loaded = load_bundle(shipped_folder, KEY)
    assert (
        {layer} <= equals_the_handler(made, loaded, shipped) <= {*range(layer, 4)}
    )  # lower where columns break the contract
    sound = score(made, loaded, made.X)
    assert set(sound["layer"].to_pylist()) == {layer}
    assert set(sound["explained_by"].to_pylist()) == {"nba_primary"}


def test_ranking_under_the_weights_that_are_shipped_asks_the_next_best_action_and_the_choice_model_alone(
    made: Made, shipped_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_bundle(shipped_folder, KEY)
    expected = score(made, loaded, made.X)
    for task, layers in loaded.layers.items():
        for student in layers if task not in {"nba_primary", PRODUCT_MODEL} else ():
            monkeypatch.setattr(student, "ready", lambda: pytest.fail("it was asked"))
    assert score(made, loaded, made.X).equals(expected)


class Operations:
    """A switch that stops one task, and messages about two products."""

    def stops(self, task: str) -> bool:
        return task == "will_acquire_payments"

    def recent(self, customer_id: int) -> dict[int, int]:
        return {customer_id % 24: 2, 7: 1} if customer_id % 2 else {}


def test_rows_under_a_kill_switch_and_a_contact_history_equal_the_handlers_answers_too(
    made: Made, bundle: Bundle, serving: Callable[..., dict[str, Any]]
) -> None:
    ports = Ports(switch=Operations(), contacts=Operations())
    equals_the_handler(made, bundle, serving, ports=ports)
    assert not score(made, bundle, made.X, ports=ports)["score"].equals(score(made, bundle, made.X)["score"])


def load(made: Made, folder: Path) -> Bundle:
    return load_bundle(export(made.build(), folder / "plain"), KEY)


def test_a_copy_that_fails_in_a_block_makes_way_for_its_direct_student_as_in_the_handler(
    made: Made, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ServingError("PREDICTION_FAILED", "no memory")

    whole = load_bundle(bundle_folder, KEY)
    failing = whole.students["nba_primary"].ready()
    monkeypatch.setattr(failing, "raw", broken)
    (bundle_folder / "models" / "nba_primary.txt").unlink()
    found, expected = (score(made, tried, made.X) for tried in (whole, load_bundle(bundle_folder, KEY)))
    assert found.equals(expected)


def test_neither_the_blocks_size_nor_the_threads_change_a_bit(made: Made, bundle: Bundle) -> None:
    X = spoiled(made, bundle)
    whole = score(made, bundle, X)
    pieces = [score(made, bundle, X, slice(low, low + 17), threads=2) for low in range(0, COUNT, 17)]
    assert pa.concat_tables(pieces).equals(whole)
    assert whole.schema == SCHEMA


def test_the_order_of_the_registrys_columns_does_not_matter(made: Made, bundle: Bundle) -> None:
    names = made.registry.names[::-1]
    turned = score_block(
        bundle, np.arange(COUNT) + 1000, made.X[:COUNT, ::-1], names,
        held=made.held(COUNT), age=AGES, segment=SEGMENTS, standing=permissive(COUNT), settings=made.settings,
    ).recommendations  # fmt: skip
    assert turned.equals(score(made, bundle, made.X))


def test_features_that_lack_a_column_of_the_contract_are_refused(made: Made, bundle: Bundle) -> None:
    short = [name for name in made.registry.names if name != bundle.names[0]]
    with pytest.raises(BundleError, match=bundle.names[0]):
        score_block(
            bundle, np.arange(2), np.zeros((2, len(short)), np.float32), short,
            held=made.held(2), age=AGES[:2], segment=[None, None], standing=permissive(2), settings=made.settings,
        )  # fmt: skip


def test_an_empty_block_gives_an_empty_table(made: Made, bundle: Bundle) -> None:
    assert score(made, bundle, made.X, slice(0, 0)).num_rows == 0


def run(lake: Lake, made: Made, bundle: Bundle, month: Month, block: int) -> dict[str, Any]:
    settings = load_settings("synthetic", "smoke", overrides={"lake": {"block_customers": block}})
    return score_month(
        LakeSession(lake), month, made.registry, settings, bundle,
        code_version="c", config_hash="h",
    )  # fmt: skip


def test_a_month_is_written_with_its_upstream_and_does_not_depend_on_the_block(
    lake: Lake, made: Made, bundle: Bundle, month: Month
) -> None:
    done: list[tuple[int, int]] = []
    with watched(lambda _label, *steps: done.append(steps)):
        figures = run(lake, made, bundle, month, 40)
    table = lake.read("recommendations/customers", month.key)
    manifest = lake.manifest("recommendations/customers", month.key)
    assert done[-1] == (90, 90)
    assert len(done) == 3
    assert figures["customers"] == 90
    assert figures["recommendations"] == table.num_rows == 243
    assert figures["empty"] == 9
    assert figures["nothing_offered"] == {"DO_NOT_CONTACT": 9}
    assert figures["served_by_rules"] == 0
    layers = np.bincount(table["layer"].to_numpy(), minlength=4)
    assert [figures["layer_1"], figures["layer_2"], figures["layer_3"]] == layers[1:].tolist()
    assert sum(layers) == 243
    assert manifest.extra == {"bundle_id": bundle.bundle_id, "unknown_consent_permitted": ""}
    decisions = lake.read("recommendations/decisions", month.key)
    assert decisions["customer_id"].to_pylist() == list(range(7, 277, 3))
    assert sum(map(len, decisions["served"].to_pylist())) == 243
    assert decisions["code"].to_pylist().count("DO_NOT_CONTACT") == 9
    assert f"raw/snapshots@{month.key}" in manifest.upstream
    assert {f"{group.asset}@{month.key}" for group in made.registry.available} <= set(manifest.upstream)
    run(lake, made, bundle, month, 1000)
    assert lake.read("recommendations/customers", month.key).equals(table)
    assert lake.read("recommendations/decisions", month.key).equals(decisions)


def test_a_data_set_without_consents_serves_nobody_unless_someone_permits_it(
    lake: Lake, made: Made, bundle: Bundle, month: Month
) -> None:
    loaded = load_settings("synthetic", "smoke")
    without = {"consents": "the tables hold none", "contacts": "the tables hold none"}
    settings = loaded.model_copy(update={"dataset": loaded.dataset.model_copy(update={"unavailable_tables": without})})

    def scored(permission: str) -> tuple[dict[str, Any], pa.Table, pa.Table]:
        session = LakeSession(lake)
        figures = score_month(session, month, made.registry, settings, bundle, code_version="c", permission=permission)
        assert not [read for read in session.seen if read.startswith(("raw/consents", "raw/contacts"))]
        stored = lake.manifest("recommendations/customers", month.key).extra
        assert stored["unknown_consent_permitted"] == permission
        return figures, *(lake.read(f"recommendations/{name}", month.key) for name in ("customers", "decisions"))

    figures, recommendations, decisions = scored("")
    assert (figures["empty"], figures["nothing_offered"]) == (90, {"CONSENT_UNKNOWN": 90})
    assert (recommendations.num_rows, recommendations.schema) == (0, SCHEMA)
    assert {len(ranked) for ranked in decisions["ranked"].to_pylist()} == {3}  # a list for evaluation is still made
    figures, recommendations, decisions = scored("Kim until 2026-07-01: a study")
    assert (figures["empty"], recommendations.num_rows, decisions["code"].null_count) == (0, 270, 90)


@pytest.mark.parametrize("change", ["fewer", "others"])
def test_snapshots_and_features_of_different_customers_are_refused_and_nothing_is_written(
    lake: Lake, made: Made, bundle: Bundle, month: Month, change: str
) -> None:
    table = lake.read("raw/snapshots", month.key)
    if change == "others":
        ids = table["customer_id"].to_numpy().copy()
        ids[5] += 1
        table = table.set_column(0, "customer_id", pa.array(ids))
    with lake.write("raw/snapshots", month.key) as out:
        out.write(table.slice(0, 80) if change == "fewer" else table)
    with pytest.raises(ContractError, match=r"90|others"):
        run(lake, made, bundle, month, 1000)
    assert lake.find("recommendations/customers", month.key) is None


def test_a_model_that_fails_stops_the_month_with_one_error(
    lake: Lake, made: Made, bundle: Bundle, month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ServingError("PREDICTION_FAILED", "no memory")

    monkeypatch.setattr(groups, "raw_matrix", broken)
    with pytest.raises(BundleError, match="no memory"):
        run(lake, made, bundle, month, 1000)
    assert lake.find("recommendations/customers", month.key) is None


def test_the_strongest_columns_of_a_row_come_by_size_ties_in_column_order_and_zeros_not_at_all() -> None:
    contributions = np.array([[3.0, 0.0, -3.0, 1.0], [0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]])
    rows, columns = strongest_of(contributions, 3)
    assert rows.tolist() == [0, 0, 0, 2]
    assert columns.tolist() == [0, 2, 3, 0]


def test_rows_whose_shares_are_of_a_choice_model_without_columns_equal_the_handlers_answers_too(
    made: Made, serving: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stored = json.loads(made.choice)
    second = stored["models"]["holdings"]
    second.update(columns=[], size=[], center=[], scale=[], weights=[[] for _ in second["products"]])
    folder = export(made.build(choice=json.dumps(stored).encode()), tmp_path / "bare")
    (folder / "models/product_share.json").unlink()
    monkeypatch.setenv("FINAI_BUNDLE", str(folder))
    bare = load_bundle(folder, KEY)
    assert bare.layer_by_task[PRODUCT_MODEL] == 2
    assert equals_the_handler(made, bare, serving) == {2, 3}
    assert self_test(bare)
