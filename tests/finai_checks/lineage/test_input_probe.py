"""C10: a raw column that is altered changes the features that declare it, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from whole_months import check_snapshots, check_transactions

from benchmarks.raw_panel import write_raw
from finai_assets.features.fit import fit_states, store_states
from finai_assets.features.groups import demographics, product_holdings
from finai_assets.features.inputs import AGE, AMOUNT, COUNTRY, FAMILY, HELD, INCOME, SNAPSHOT_MONTH, TS
from finai_assets.features.registry import Column, Group, Registry, build_registry
from finai_assets.ingest.contract_checker import check_merchant_categories
from finai_assets.partitions import look_back
from finai_assets.settings import Settings, load_settings
from finai_checks.framework.check import CheckOutcome
from finai_checks.lineage.input_probe import Reaction, changed_rows, judge, probe_inputs
from finai_checks.lineage.label_reach import RAW_COLUMNS
from finai_checks.lineage.raw_alterations import CUSTOMER, Alteration, RawTables, alterations, read_raw
from finai_checks.point_in_time.sample import sample_of_kinds
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

GROUPS = ["demographics", "product_holdings", "derived_temporal", "nba_history_multihot"]
MONTH = Month.parse("2015-01")


@pytest.fixture(scope="module")
def made() -> Settings:
    return load_settings(
        "synthetic",
        "smoke",
        overrides={
            "look_back_months": 6,
            "dataset": {"splits": {"train": ["2015-01", "2015-01"]}},
            "fit": {"rows": 200},
        },
    )


@pytest.fixture(scope="module")
def registry(made: Settings) -> Registry:
    return build_registry(made)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, made: Settings, registry: Registry) -> Lake:
    lake = Lake.on_disk(tmp_path_factory.mktemp("lineage") / "lake")
    write_raw(lake, made, look_back(MONTH, made), 120, events_a_month=6.0)
    session = LakeSession(lake)
    store_states(session, fit_states(session, made, registry, groups=GROUPS), versions=one_version("test"))
    return lake


@pytest.fixture(scope="module")
def tables(lake: Lake, made: Settings) -> RawTables:
    session = LakeSession(lake)
    return read_raw(session, MONTH, sample_of_kinds(session, MONTH, 40, made), made)


@pytest.fixture(scope="module")
def altered(tables: RawTables) -> dict[str, Alteration]:
    return {alteration.column: alteration for alteration in alterations(tables, np.random.default_rng(3))}


def column(name: str, *inputs: str, window: int | None = None, scope: Any = "none") -> Column:
    return Column(name, "group", "count", "1", name, name, inputs, window, scope, "never missing")


# ---- alterations


def same(left: pa.Table, right: pa.Table, but: str) -> bool:
    return left.drop_columns([but]).equals(right.drop_columns([but]))


def test_every_raw_column_is_altered_but_the_number_of_a_product(altered: dict[str, Alteration]) -> None:
    stored = {f"raw/products.{name}" for name in ("family",)} | {
        f"raw/merchant_categories.{name}" for name in ("mcc", "l2", "l1")
    }
    monthly = {
        f"{asset}.{name}" for asset in ("raw/snapshots", "raw/transactions") for name in RAW_COLUMNS[asset]
    }  # fmt: skip
    assert set(altered) == (monthly | stored) - {"raw/transactions.customer_id"}
    assert [name for name, alteration in altered.items() if not alteration.values] == []


@pytest.mark.parametrize(
    "name", ["age", "income", "tenure_months", "is_active", "gender", "segment", "country", "held"]
)
def test_an_altered_snapshot_column_differs_in_every_row_and_no_other_column_does(
    name: str, altered: dict[str, Alteration], tables: RawTables
) -> None:
    after = altered[f"raw/snapshots.{name}"].after
    for month, table in tables.snapshots.items():
        assert same(after.snapshots[month], table, name)
        pairs = zip(after.snapshots[month][name].to_pylist(), table[name].to_pylist(), strict=True)
        assert all(left != right for left, right in pairs)
    assert after.transactions is tables.transactions


def test_altered_months_keep_the_data_contract(altered: dict[str, Alteration], made: Settings) -> None:
    for name, alteration in altered.items():
        mccs = alteration.after.categories["mcc"].to_numpy()
        for month in alteration.after.snapshots:
            check_snapshots(alteration.after.snapshots[month], month=month, settings=made, source=name)
            check_transactions(alteration.after.transactions[month], month=month, settings=made, mccs=mccs, source=name)
        leaves = alteration.after.categories
        named = leaves.append_column("name", pa.array(["x"] * len(leaves)))
        check_merchant_categories(named, settings=made, source=name)


def test_new_times_keep_the_transactions_of_each_customer_and_stay_before_the_cutoff(
    altered: dict[str, Alteration], tables: RawTables
) -> None:
    def lines(raw: RawTables) -> list[tuple[int, float, int]]:
        whole = pa.concat_tables(raw.transactions.values())
        return sorted(zip(*(whole[name].to_pylist() for name in ("customer_id", "amount", "mcc")), strict=True))

    assert lines(altered[TS].after) == lines(tables)


def test_an_absent_month_is_all_that_differs_where_presence_is_altered(altered: dict[str, Alteration]) -> None:
    change = altered[SNAPSHOT_MONTH]
    before, after = change.before.snapshots, change.after.snapshots
    assert after[MONTH].equals(before[MONTH])
    gone = 0
    for month, table in before.items():
        left = set(after[month]["customer_id"].to_pylist())
        for row in table.to_pylist():
            if row["customer_id"] not in left:
                assert row["held"] == []
                gone += 1
    assert gone == change.values > 0


def test_other_ids_keep_their_order_and_their_transactions(altered: dict[str, Alteration], tables: RawTables) -> None:
    after = altered[CUSTOMER].after
    for month in tables.snapshots:
        for before_rows, after_rows in ((tables.snapshots, after.snapshots), (tables.transactions, after.transactions)):
            old, new = (rows[month]["customer_id"].to_numpy() for rows in (before_rows, after_rows))
            assert (np.sign(np.diff(old)) == np.sign(np.diff(new))).all()
            assert not (old == new).any()


# ---- the probe


def probed(lake: Lake, made: Settings, groups: list[Group], customers: int = 60) -> dict[str, CheckOutcome]:
    return probe_inputs(LakeSession(lake), made, groups, MONTH, customers=customers)


def redeclared(group: Group, **inputs: tuple[str, ...]) -> Group:
    declared = tuple(replace(c, inputs=inputs.get(c.name, inputs.get("every", c.inputs))) for c in group.declared)
    return replace(group, declared=declared)


@pytest.fixture(scope="module")
def honest(lake: Lake, made: Settings, registry: Registry) -> dict[str, CheckOutcome]:
    return probed(lake, made, registry.select(GROUPS))


def test_groups_read_what_they_declare(honest: dict[str, CheckOutcome]) -> None:
    assert {name: (outcome.passed, outcome.reason) for name, outcome in honest.items() if not outcome.passed} == {}


def test_the_interval_says_how_rare_an_unseen_read_can_be(honest: dict[str, CheckOutcome]) -> None:
    observed = honest["demographics"].observed
    low, high = observed["interval"]
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / observed["customers"]), rel=1e-6)


def test_an_input_that_is_not_declared_is_named_with_its_columns(
    lake: Lake, made: Settings, registry: Registry
) -> None:
    narrowed = redeclared(
        registry.group("demographics"), income=(INCOME,), tenure_months=("raw/snapshots.tenure_months",)
    )
    outcome = probed(lake, made, [narrowed], customers=120)["demographics"]
    assert not outcome.passed
    assert f"{AGE} is read by income, tenure_months, which do not declare it" in outcome.reason
    assert outcome.observed["customers_with_an_undeclared_reaction"] > 0
    assert outcome.observed["interval"][0] > 0


def test_a_module_that_computes_with_the_id_of_a_customer_is_found(
    lake: Lake, made: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest_transform = product_holdings.transform

    def parity(block: Any, params: Any, settings: Any) -> np.ndarray:
        return honest_transform(block, params, settings) + np.float32(block.customer_id % 2)[:, None]

    monkeypatch.setattr(product_holdings, "transform", parity)
    outcome = probed(lake, made, [registry.group("product_holdings")])["product_holdings"]
    assert not outcome.passed
    assert f"{CUSTOMER} is read by" in outcome.reason


def test_an_undeclared_read_of_transactions_is_found_though_the_view_would_hide_them(
    lake: Lake, made: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest_transform = product_holdings.transform

    def peeking(block: Any, params: Any, settings: Any) -> np.ndarray:
        out = honest_transform(block, params, settings)
        owner = np.repeat(np.arange(len(block)), np.diff(block.events.start))
        out[:, 1] += np.bincount(owner, block.events.amount, len(block))
        return out

    monkeypatch.setattr(product_holdings, "transform", peeking)
    outcome = probed(lake, made, [registry.group("product_holdings")])["product_holdings"]
    assert not outcome.passed
    name = registry.group("product_holdings").names[1]
    assert f"{AMOUNT} is read by {name}, which do not declare it" in outcome.reason


def test_a_declared_input_that_no_column_reads_fails_and_one_silent_column_is_a_remark(
    lake: Lake, made: Settings, registry: Registry
) -> None:
    group = registry.group("demographics")
    claimed = redeclared(group, age=(AGE, COUNTRY))  # country_code reads it, age does not
    outcome = probed(lake, made, [claimed])["demographics"]
    assert outcome.passed
    row = next(row for row in outcome.table if row["input"] == COUNTRY)
    assert "age" in row["silent"].split(", ")
    holdings = redeclared(registry.group("product_holdings"), every=(HELD, COUNTRY))
    outcome = probed(lake, made, [holdings])["product_holdings"]
    assert not outcome.passed
    assert f"{COUNTRY} is declared by held_" in outcome.reason
    assert "no column reacts" in outcome.reason


def test_what_is_read_through_the_fit_alone_is_measured_by_fitting_twice(
    lake: Lake, made: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored state does not move when the catalogue does; a state fitted on the altered catalogue does."""
    group = registry.group("demographics")
    through = redeclared(group, country_code=(COUNTRY, FAMILY))
    assert "no column reacts" in probed(lake, made, [through])["demographics"].reason
    fit, transform = demographics.fit, demographics.transform

    def reading_family(blocks: Any, settings: Any) -> Mapping[str, np.ndarray]:
        return {**fit(blocks, settings), "family": blocks[0].catalogue.family.astype(np.float32)}

    def with_family(block: Any, params: Any, settings: Any) -> np.ndarray:
        out = transform(block, params, settings)
        position = [c.name for c in group.declared].index("country_code")
        out[:, position] += params["family"].dot(np.arange(len(params["family"]))) if "family" in params else 0
        return out

    monkeypatch.setattr(demographics, "fit", reading_family)
    monkeypatch.setattr(demographics, "transform", with_family)
    outcome = probed(lake, made, [through])["demographics"]
    assert outcome.passed, outcome.reason
    row = next(row for row in outcome.table if row["input"] == FAMILY)
    assert (row["through"], row["reacted"]) == ("a fit on the sample", 1)


def test_the_lake_is_only_read(lake: Lake, made: Settings, registry: Registry) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*") if path.is_file()}

    before = files()
    probed(lake, made, [registry.group("product_holdings")])
    assert files() == before


def judged(columns: list[Column], *reactions: Reaction) -> CheckOutcome:
    return judge(columns, reactions, 50, month="2015-01", confidence=0.95)


def test_a_group_that_refuses_altered_tables_fails_where_it_does_not_declare_them_and_where_no_fit_helps() -> None:
    columns = [column("a", HELD)]
    still, moved = np.zeros(1, np.int64), np.ones(1, np.int64)
    reads = Reaction(HELD, 9, moved)
    assert judged(columns, reads).passed
    undeclared = judged(columns, reads, Reaction(AGE, 9, still, refused="another tree"))
    assert "does not compute where raw/snapshots.age is altered: another tree" in undeclared.reason
    in_vain = judged(columns, Reaction(HELD, 9, still, "a fit on the sample", "another tree"))
    assert "does not compute where raw/snapshots.held is altered" in in_vain.reason


def test_an_input_that_could_not_be_altered_or_does_not_exist_is_not_taken_for_read() -> None:
    unaltered = judged([column("a", HELD)], Reaction(HELD, 0, np.zeros(1, np.int64)))
    assert unaltered.reason == "raw/snapshots.held is declared, and could not be altered in the sample"
    unknown = judged([column("a", HELD, "raw/x.y")], Reaction(HELD, 9, np.ones(1, np.int64)))
    assert unknown.reason == "raw/x.y is declared, and there is no such raw column to alter"


def test_bits_are_compared_so_that_equal_missing_values_are_equal_and_zeros_of_two_signs_are_not() -> None:
    before = np.array([[np.nan, 0.0], [1.0, 2.0]], np.float32, order="F")
    after = np.array([[np.nan, -0.0], [1.0, 2.0]], np.float32)
    assert changed_rows(before, before.copy(order="C")).tolist() == [0, 0]
    assert changed_rows(before, after).tolist() == [0, 1]
