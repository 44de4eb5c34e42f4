"""A correction of one raw month: which months of which groups no longer follow from what is stored, by kind of correction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS, group_asset, state_asset
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.synthetic.panel import generate
from finai_assets.partitions import look_back
from finai_assets.platform import Platform
from finai_checks.framework.small_lake import GROUPS, VERSION, SmallLake, small_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import is_current
from finai_resources.months import Month, month_range
from finai_resources.secrets import DEMO_PSEUDONYM_KEY

pytestmark = pytest.mark.slow
# Features exist for 2015-01, -02 (train), -04 and -06. By their declared windows rolling sums reach back six months, the
# counts of mixed behaviour and the lags twelve; of earlier snapshots mixed behaviour alone reads some.
ALL = ("2015-01", "2015-02", "2015-04", "2015-06")
ROLLING, BEHAVIOR, LAGS = "txn_rolling_stats", "txn_behavior", "txn_lag_tensor"
OF_TRANSACTIONS = (ROLLING, BEHAVIOR, LAGS)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    made = SmallLake(Lake.on_disk(tmp_path_factory.mktemp("late") / "lake"), Platform.of(small_settings()))
    settings, platform, session = made.settings, made.platform, made.session
    generate(settings, DEMO_PSEUDONYM_KEY, session, tasks=platform.available_tasks, workers=1, code_version=VERSION)
    adapter = open_adapter(settings, DEMO_PSEUDONYM_KEY, session)
    load_catalogue(adapter, session, settings, code_version=VERSION)
    for month in month_range(look_back(platform.splits.train[0], settings)[0], platform.splits.test[-1] + 1):
        load_month(adapter, session, month, settings, code_version=VERSION)
    made.refit()
    for month in made.months:
        made.compute(month)
    return made


@pytest.fixture
def small(computed: SmallLake, tmp_path: Path) -> SmallLake:
    return computed.copy(tmp_path / "lake")


def stale(small: SmallLake) -> set[str]:
    paths = [(group_asset(group), month.key) for group in GROUPS for month in small.months]
    paths += [(state_asset(group), None) for group in GROUPS]
    versions = {"code_version": VERSION, "config_hash": ""}
    return {
        f"{path}@{key}" if key else path for path, key in paths if not is_current(small.lake, path, key, **versions)
    }


def months_of(groups: tuple[str, ...], *months: str) -> set[str]:
    return {f"{group_asset(group)}@{month}" for group in groups for month in months}


def altered(column: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(column)
        values = table[column].to_pylist()
        values[0] = (values[0] or 0) + 1
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


def appended(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(table.num_rows - 1)])


def removed(table: pa.Table) -> pa.Table:
    return table.slice(0, table.num_rows - 1)


def correct(small: SmallLake, asset: str, month: str, change: Callable[[pa.Table], pa.Table]) -> None:
    table = change(small.lake.read(asset, month))
    with small.lake.write(asset, month, code_version=VERSION) as out:
        out.write(table)


def take_back(small: SmallLake, month: str) -> None:
    adapter = open_adapter(small.settings, DEMO_PSEUDONYM_KEY, small.session)
    load_month(adapter, small.session, Month.parse(month), small.settings, code_version=VERSION)


STATES = {state_asset(group) for group in GROUPS}
CORRECTIONS = {
    "an amount of the last month": (TRANSACTIONS, "2015-06", altered("amount"), months_of(OF_TRANSACTIONS, "2015-06")),
    "a row that came late, seven months before the last": (
        TRANSACTIONS,
        "2014-11",
        appended,
        months_of((BEHAVIOR, LAGS), *ALL) | months_of((ROLLING,), "2015-01", "2015-02", "2015-04") | STATES,
    ),
    "a row taken out of the month between train and validation": (
        TRANSACTIONS,
        "2015-03",
        removed,
        months_of(OF_TRANSACTIONS, "2015-04", "2015-06"),
    ),
    "an income of a validation month": (
        SNAPSHOTS,
        "2015-04",
        altered("income"),
        months_of(GROUPS, "2015-04") | months_of((BEHAVIOR,), "2015-06"),
    ),
    "an age of the last train month": (
        SNAPSHOTS,
        "2015-02",
        altered("age"),
        months_of(GROUPS, "2015-02") | months_of((BEHAVIOR,), "2015-04", "2015-06") | STATES,
    ),
}


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_correction_makes_exactly_the_months_stale_whose_windows_read_it(small: SmallLake, name: str) -> None:
    asset, month, change, expected = CORRECTIONS[name]
    assert stale(small) == set()
    correct(small, asset, month, change)
    assert stale(small) == expected
    take_back(small, month)  # the old bytes, and nothing is left to do
    assert stale(small) == set()


def test_what_is_computed_again_is_current_and_a_state_that_refits_alike_asks_for_nothing_more(
    small: SmallLake,
) -> None:
    asset, month, change, expected = CORRECTIONS["a row that came late, seven months before the last"]
    correct(small, asset, month, change)
    again = {path for path in expected if "@" in path}
    small.refit(groups=("demographics", "product_holdings"))  # they read no transactions: the same bytes
    assert stale(small) == again | {state_asset(group) for group in OF_TRANSACTIONS}
    small.refit()
    for each in small.months:
        small.compute(each)
    assert stale(small) == set()
