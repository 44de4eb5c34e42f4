"""Canaries on a small lake: a real one, made by the real steps, and copies of it with one thing wrong in each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.features.block import read_block
from finai_assets.features.compute import compute_month, group_schema
from finai_assets.features.events import read_events
from finai_assets.features.fit import fit_states, load_states, store_states, transform_group
from finai_assets.features.registry import Group
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.synthetic import generate
from finai_assets.labels.splits import make_splits
from finai_assets.partitions import look_back
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_checks.catalogue import kind
from finai_checks.declared import SPLITS_ASSET, Declared, declared_checks
from finai_checks.outcome import CheckOutcome
from finai_checks.proof import Canary
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month, month_range
from finai_resources.secrets import DEMO_PSEUDONYM_KEY

CUSTOMERS = 240
GROUPS = ("demographics", "txn_behavior", "txn_lag_tensor", "txn_rolling_stats")
VERSION = "proof"

Poison = Callable[["SmallLake"], None]


def small_settings() -> Settings:
    """Return settings of a panel that is made in seconds: two train months and one of each other split."""
    return load_settings(
        "synthetic",
        "smoke",
        overrides={
            "generator": {"customers": CUSTOMERS},
            "fit": {"rows": 500},
            "dataset": {
                "splits": {
                    "train": ["2015-01", "2015-02"],
                    "validation": ["2015-04", "2015-04"],
                    "test": ["2015-06", "2015-06"],
                }
            },
        },
    )


class SmallLake:
    """A lake with raw months, states and one month of features, in a folder that its owner removes."""

    def __init__(self, lake: Lake, platform: Platform) -> None:
        self.lake, self.platform, self.settings = lake, platform, platform.settings
        self.month: Month = platform.splits.train[-1]

    @classmethod
    def build(cls, folder: Path) -> SmallLake:
        """Make the lake by the steps that the main job takes."""
        settings = small_settings()
        made = cls(Lake.on_disk(folder), Platform.of(settings))
        session = LakeSession(made.lake)
        generate(settings, DEMO_PSEUDONYM_KEY, session, workers=1, code_version=VERSION)
        adapter = open_adapter(settings, DEMO_PSEUDONYM_KEY, session)
        load_catalogue(adapter, session, settings, code_version=VERSION)
        for month in month_range(look_back(made.platform.splits.train[0], settings)[0], made.month + 1):
            load_month(adapter, session, month, settings, code_version=VERSION)
        states = fit_states(session, settings, made.platform.registry, groups=GROUPS)
        store_states(session, states, code_version=VERSION)
        compute_month(session, made.month, made.platform.registry, states, settings, GROUPS, code_version=VERSION)
        with made.lake.write(SPLITS_ASSET) as out:
            out.put("splits.json", make_splits(settings).to_json())
        return made

    def copy(self, folder: Path) -> SmallLake:
        """Return a copy that may be spoiled."""
        shutil.copytree(self.lake.root, folder)
        return SmallLake(Lake.on_disk(folder), self.platform)

    def group(self, name: str) -> Group:
        """Return a group by name."""
        return self.platform.registry.group(name)

    def check(self, name: str, asset: str) -> Declared:
        """Return a declared check."""
        return next(c for c in declared_checks(self.platform) if c.name == name and c.asset == asset)

    def evaluate(self, name: str, asset: str) -> CheckOutcome:
        """Run a declared check on this lake, without leaving a record."""
        check = self.check(name, asset)
        return check.evaluate(LakeSession(self.lake), self.month if check.months else None)


def lake_canaries(folder: Path) -> list[Canary]:
    """Return canaries on a small lake in a folder, and on spoiled copies of it; the lake is made now."""
    good = SmallLake.build(folder / "good")
    numbers = count()

    def canary(name: str, asset: str, label: str, expects: str | None = None, poison: Poison | None = None) -> Canary:
        def evaluate() -> CheckOutcome:
            if poison is None:
                return good.evaluate(name, asset)
            spoiled = good.copy(folder / f"spoiled-{next(numbers)}")
            poison(spoiled)
            outcome = spoiled.evaluate(name, asset)
            shutil.rmtree(spoiled.lake.root)
            return outcome

        return Canary(kind(name), label, expects, evaluate)

    state, lag = "feature_state/demographics", "features/txn_lag_tensor"
    return [
        canary("schema_contract", "raw/snapshots", "a month as it was loaded"),
        canary(
            "schema_contract", "raw/snapshots", "a stored month with a customer twice", "snapshots.customer_id", _twice
        ),
        canary("gap_split", SPLITS_ASSET, "the splits as stored"),
        canary("gap_split", SPLITS_ASSET, "validation moved next to train", "the gap before validation", _no_gap),
        canary("fitted_on_train_only", state, "a state as it was fitted"),
        canary("fitted_on_train_only", state, "a state that saw the test month", "outside train", _saw_test),
        canary("columns_vary_on_train", state, "a state as it was fitted"),
        canary("columns_vary_on_train", state, "a state fitted on one income", "income", _one_income),
        canary("columns_vary", "features/txn_behavior", "a month as it was computed"),
        canary("columns_vary", "features/txn_behavior", "a group of zeros", "14 of 14 columns", _zeros),
        canary("point_in_time_replay", lag, "a month as it was computed"),
        canary("point_in_time_replay", lag, "a lag that reads past the cutoff", "lag_amount_000", _reads_ahead),
        canary("point_in_time_replay", "features/demographics", "ages changed by one bit", "age", _one_bit),
    ]


def _rewrite(small: SmallLake, asset: str, partition: str, table: pa.Table) -> None:
    with small.lake.write(asset, partition) as out:
        out.write(table)


def _twice(small: SmallLake) -> None:
    table = small.lake.read("raw/snapshots", small.month.key)
    _rewrite(small, "raw/snapshots", small.month.key, pa.concat_tables([table, table.slice(0, 1)]))


def _no_gap(small: SmallLake) -> None:
    months = json.loads(make_splits(small.settings).to_json())
    months["validation"], months["purged"] = [months["purged"][0]], []
    with small.lake.write(SPLITS_ASSET) as out:
        out.put("splits.json", json.dumps(months).encode())


def _refit(small: SmallLake, settings: Settings) -> None:
    session = LakeSession(small.lake)
    states = fit_states(session, settings, small.platform.registry, groups=["demographics"])
    store_states(session, states, code_version=VERSION)


def _saw_test(small: SmallLake) -> None:
    """Fit the medians and codes with a later month among the rows."""
    settings, last = small.settings, small.month + 1
    splits = settings.dataset.splits
    wider = splits.model_copy(update={"train": splits.train.model_copy(update={"last": last})})
    _refit(small, settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"splits": wider})}))


def _one_income(small: SmallLake) -> None:
    for month in small.platform.splits.train:
        table = small.lake.read("raw/snapshots", month.key)
        same = pa.array(np.full(table.num_rows, 3e7))
        changed = table.set_column(table.schema.get_field_index("income"), "income", same)
        _rewrite(small, "raw/snapshots", month.key, changed)
    _refit(small, small.settings)


def _features(small: SmallLake, group: Group, customer_id: np.ndarray, values: np.ndarray) -> None:
    columns: list[Any] = [pa.array(customer_id), *(pa.array(values[:, c]) for c in range(values.shape[1]))]
    _rewrite(small, group.asset, small.month.key, pa.Table.from_arrays(columns, schema=group_schema(group)))


def _zeros(small: SmallLake) -> None:
    group = small.group("txn_behavior")
    ids = small.lake.read(group.asset, small.month.key, columns=["customer_id"])["customer_id"].to_numpy()
    _features(small, group, ids, np.zeros((len(ids), len(group.columns)), np.float32))


def _reads_ahead(small: SmallLake) -> None:
    """Compute the lags from events up to a day past the cutoff, as a reader with a wrong bound would."""
    group, month, session = small.group("txn_lag_tensor"), small.month, LakeSession(small.lake)
    ids = np.sort(session.read("raw/snapshots", month.key)["customer_id"].to_numpy())
    block = read_block(session, month, int(ids[0]), int(ids[-1]), small.settings)
    months = look_back(month, small.settings)
    ahead = read_events(
        session, [*months, month + 1], block.customer_id, since=months[0].start_us, cutoff=(month + 1).cutoff_us
    )
    state = load_states(session, [group])[group.name]
    leaking = replace(block, events=ahead)
    values, _ = transform_group(group, leaking.view(group.columns), state.params, small.settings)
    _features(small, group, block.customer_id, values)


def _one_bit(small: SmallLake) -> None:
    group = small.group("demographics")
    table = small.lake.read(group.asset, small.month.key)
    age = table["age"].to_numpy().copy()
    age.view(np.uint32)[:] ^= 1
    changed = table.set_column(table.schema.get_field_index("age"), table.schema.field("age"), pa.array(age))
    _rewrite(small, group.asset, small.month.key, changed)
