"""C09, the inputs that prove it: stored features that read past the cutoff, or that somebody changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import SNAPSHOTS, group_asset
from finai_assets.features.block import read_block
from finai_assets.features.events import read_events
from finai_assets.features.fit import load_states, transform_group
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_checks.framework.check import Canary, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.point_in_time.checks import REPLAY


def plain_canaries(_settings: Settings) -> list[Canary]:
    """Return none: a replay needs a lake."""
    return []


def lake_canaries() -> list[LakeCanary]:
    """Return a month as it was computed, and months whose values no honest reader would compute."""
    lag = group_asset("txn_lag_tensor")
    return [
        LakeCanary(REPLAY, lag, "a month as it was computed"),
        LakeCanary(REPLAY, lag, "a lag that reads past the cutoff", "lag_amount_000", _reads_ahead),
        LakeCanary(REPLAY, group_asset("demographics"), "ages changed by one bit", "age", _one_bit),
    ]


def _reads_ahead(small: SmallLake) -> None:
    """Compute the lags from events up to a month past the cutoff, as a reader with a wrong bound would."""
    group, month, session = small.group("txn_lag_tensor"), small.month, small.session
    ids = np.sort(session.read(SNAPSHOTS, month.key)["customer_id"].to_numpy())
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
