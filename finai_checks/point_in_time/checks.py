"""C09: the features of a month are those that a reader without a future would have computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from finai_assets.features.block import read_block
from finai_assets.features.events import read_events
from finai_assets.features.fit import load_states, transform_group
from finai_assets.partitions import look_back
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, EvaluateTogether, declare_together
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.framework.theme import Theme
from finai_checks.point_in_time.replay import replay_month
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

REPLAY = Kind(
    "C09",
    "point_in_time_replay",
    "the month's features come out again to the bit from raw tables without a future, and with garbage for a future",
    blocking=True,
    minimum=1,
    units="values",
    thresholds=("checks.replay_customers",),
)


def _declare(platform: Platform) -> list[Declared]:
    assets = [group.asset for group in platform.registry.available]
    months = tuple(platform.settings.dataset.snapshot_months)
    return declare_together(REPLAY, assets, _replay(platform), platform.settings, months=months)


def _replay(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        assert month is not None  # noqa: S101 - the check is partitioned
        groups = [group for group in platform.registry.available if group.asset in assets]
        customers = platform.settings.checks.replay_customers
        outcomes = replay_month(session, platform.settings, groups, month, customers=customers)
        return {group.asset: outcomes[group.name] for group in groups}

    return evaluate


def _canaries(_settings: Settings) -> list[Canary]:
    return []


def _lake_canaries() -> list[LakeCanary]:
    lag = "features/txn_lag_tensor"
    return [
        LakeCanary(REPLAY, lag, "a month as it was computed"),
        LakeCanary(REPLAY, lag, "a lag that reads past the cutoff", "lag_amount_000", _reads_ahead),
        LakeCanary(REPLAY, "features/demographics", "ages changed by one bit", "age", _one_bit),
    ]


def _reads_ahead(small: SmallLake) -> None:
    """Compute the lags from events up to a day past the cutoff, as a reader with a wrong bound would."""
    group, month, session = small.group("txn_lag_tensor"), small.month, small.session
    ids = np.sort(session.read("raw/snapshots", month.key)["customer_id"].to_numpy())
    block = read_block(session, month, int(ids[0]), int(ids[-1]), small.settings)
    months = look_back(month, small.settings)
    ahead = read_events(
        session, [*months, month + 1], block.customer_id, since=months[0].start_us, cutoff=(month + 1).cutoff_us
    )
    state = load_states(session, [group])[group.name]
    leaking = replace(block, events=ahead)
    values, _ = transform_group(group, leaking.view(group.columns), state.params, small.settings)
    small.put_features(group, month, block.customer_id, values)


def _one_bit(small: SmallLake) -> None:
    group = small.group("demographics")
    table = small.lake.read(group.asset, small.month.key)
    age = table["age"].to_numpy().copy()
    age.view(np.uint32)[:] ^= 1
    changed = table.set_column(table.schema.get_field_index("age"), table.schema.field("age"), pa.array(age))
    small.rewrite(group.asset, small.month.key, changed)


THEME = Theme((REPLAY,), _declare, _canaries, _lake_canaries)
