"""The sample of a month holds customers of every kind that is there, whatever the order of rows, and no more than it may."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.settings import Settings
from finai_checks.framework.raw import sampled_rows
from finai_checks.point_in_time.sample import kinds_of, sample_of_kinds
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

MONTH, N = Month.parse("2015-03"), 4000
IDS = np.arange(N) * 7 + 3
JOINED, LEFT, DORMANT, TIED, BUSY = IDS[11], IDS[702], IDS[1503], IDS[2504], IDS[3905]


def snapshots(ids: np.ndarray) -> pa.Table:
    return pa.table({"customer_id": pa.array(ids, pa.int64())})


def write(lake: Lake, *, after: bool = True, seed: int = 0) -> LakeSession:
    order = np.random.default_rng(seed).permutation(N)
    months = {MONTH - 1: IDS[IDS != JOINED], MONTH: IDS, MONTH + 1: IDS[IDS != LEFT]}
    for month, ids in months.items():
        if month <= MONTH or after:
            with lake.write("raw/snapshots", month.key) as out:
                out.write(snapshots(np.sort(ids) if seed == 0 else ids[np.argsort(order[: len(ids)])]))
    at = datetime(2015, 3, 2)
    active = IDS[IDS != DORMANT]
    rows = [(int(owner), at) for owner in active] + [(int(TIED), at)]
    rows += [(int(BUSY), at + timedelta(hours=hour)) for hour in range(1, 40)]
    rows.sort()
    with lake.write("raw/transactions", MONTH.key) as out:
        out.write(pa.table({"customer_id": [owner for owner, _ in rows], "ts": [ts for _, ts in rows]}))
    return LakeSession(lake)


def test_each_kind_is_who_it_says(settings: Settings, lake: Lake) -> None:
    found = kinds_of(write(lake), MONTH, IDS, settings)
    assert [found[kind].tolist() for kind in ("joined", "left", "dormant", "tied")] == [
        [JOINED],
        [LEFT],
        [DORMANT],
        [TIED],
    ]
    assert BUSY in found["busy"]


@pytest.mark.parametrize("customers", [16, 64, 500])
def test_the_one_of_a_kind_among_thousands_is_in_the_sample(settings: Settings, lake: Lake, customers: int) -> None:
    sample = sample_of_kinds(write(lake), MONTH, customers, settings)
    assert {JOINED, LEFT, DORMANT, TIED} <= set(sample.tolist())
    assert len(sample) == customers == len(set(sample.tolist()))
    assert (np.diff(sample) > 0).all()
    assert (np.diff(sample) > 7).mean() > 0.5  # hardly any neighbours


def test_where_the_next_month_is_not_stored_nobody_has_left(settings: Settings, lake: Lake) -> None:
    session = write(lake, after=False)
    assert kinds_of(session, MONTH, IDS, settings)["left"].tolist() == []
    assert len(sample_of_kinds(session, MONTH, 32, settings)) == 32


def test_the_order_of_rows_plays_no_part(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    samples = [
        sample_of_kinds(write(Lake.on_disk(tmp_path_factory.mktemp("lake")), seed=seed), MONTH, 64, settings)
        for seed in (0, 1)
    ]
    assert samples[0].tolist() == samples[1].tolist()


def test_a_month_of_fewer_customers_is_taken_whole(settings: Settings, lake: Lake) -> None:
    assert sample_of_kinds(write(lake), MONTH, N + 1, settings).tolist() == IDS.tolist()


def test_rows_of_the_sample_alone_are_returned(settings: Settings, lake: Lake) -> None:
    session = write(lake)
    sample = sample_of_kinds(session, MONTH, 16, settings)
    assert sampled_rows(session, "raw/snapshots", MONTH, sample)["customer_id"].to_pylist() == sample.tolist()
