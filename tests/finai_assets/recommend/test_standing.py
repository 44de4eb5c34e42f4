"""The standing of customers is read as of the cutoff of their month, and what a data set does not have is unknown."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.asset_graph import ASSET_BANDS, CONSENTS, CONTACTS, RISK_PROFILES
from finai_assets.recommend.standing import Standings, read_messages, read_standings
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from serving_lambda.offering import Offering
from serving_lambda.standing import UNKNOWN, Standing

BANDS = ("low", "high")
OFFERING = Offering(frozenset(), 65, 4, 5, 7, 21, 8, frozenset(), 540, BANDS)
DAY = pa.date32()


def store(lake: Lake, month: str, *, consents: list[tuple[Any, ...]], contacts: list[tuple[Any, ...]]) -> None:
    tables = {
        RISK_PROFILES: {
            "customer_id": pa.array([1, 3], pa.int64()),
            "grade": pa.array([2, 5], pa.int8()),
            "assessed_on": pa.array([date(2015, 1, 2)] * 2, DAY),
            "expires_on": pa.array([date(2015, 6, 1), date(2016, 1, 1)], DAY),
        },
        ASSET_BANDS: {"customer_id": pa.array([1, 2], pa.int64()), "band": ["high", "of another catalogue"]},
        CONSENTS: {
            "customer_id": pa.array([row[0] for row in consents], pa.int64()),
            "purpose": pa.array([row[1] for row in consents], pa.string()),
            "channel": pa.array([row[2] for row in consents], pa.string()),
            "given_on": pa.array([date(2015, 1, 1)] * len(consents), DAY),
            "withdrawn_on": pa.array([row[3] for row in consents], DAY),
        },
        CONTACTS: {
            "customer_id": pa.array([row[0] for row in contacts], pa.int64()),
            "ts": pa.array([row[1] for row in contacts], pa.timestamp("us")),
            "product_id": pa.array([row[2] if len(row) > 2 else None for row in contacts], pa.int16()),
        },
    }
    for path, columns in tables.items():
        with lake.write(path, month) as out:
            out.write(pa.table(columns))


def settings_of(**unavailable: str) -> Settings:
    settings = load_settings("synthetic", "smoke")
    return settings.model_copy(
        update={"dataset": settings.dataset.model_copy(update={"unavailable_tables": unavailable})}
    )


def read(lake: Lake, months: list[str], customers: list[int], settings: Settings) -> Standings:
    return read_standings(LakeSession(lake), np.array(months), np.array(customers), OFFERING, settings)


@pytest.fixture
def stored(lake: Lake) -> Lake:
    consents = [
        (1, "automated_decision", None, None),
        (1, "marketing", "app", None),
        (1, "marketing", "sms", date(2015, 5, 31)),
        (2, "do_not_contact", None, None),
        (3, "do_not_contact", None, date(2015, 5, 1)),
    ]
    contacts = [(1, datetime(2015, 5, 24, 23, 59)), (1, datetime(2015, 5, 25)), (1, datetime(2015, 5, 31, 23)),
                (9, datetime(2015, 5, 30))]  # fmt: skip
    store(lake, "2015-05", consents=consents, contacts=contacts)
    return lake


def test_each_customer_has_what_stands_at_the_cutoff(stored: Lake) -> None:
    found = read(stored, ["2015-05"] * 3, [3, 1, 2], settings_of())
    assert found.each(BANDS) == [
        Standing(5, "2016-01-01", None, frozenset(), False, False, 0),
        Standing(2, "2015-06-01", "high", frozenset({"app"}), True, False, 2),
        Standing(None, None, None, frozenset(), False, True, 0),
    ]
    assert str(found.day[0]) == "2015-06-01"
    assert found.take(slice(1, 2)).each(BANDS) == found.each(BANDS)[1:2]


def test_months_differ_and_messages_reach_back_into_the_month_before(stored: Lake) -> None:
    store(stored, "2015-06", consents=[(1, "marketing", "call", None)], contacts=[(1, datetime(2015, 6, 29))])
    store(stored, "2015-07", consents=[], contacts=[])
    long = OFFERING._replace(message_days=28)
    found = read_standings(
        LakeSession(stored), np.array(["2015-06", "2015-05", "2015-07"]), np.array([1, 1, 1]), long, settings_of()
    )
    assert found.marketing.sum(axis=1).tolist() == [1, 1, 0]
    assert [str(day) for day in found.day] == ["2015-07-01", "2015-06-01", "2015-08-01"]
    assert found.messages.tolist() == [
        1,
        3,
        0,
    ]  # of 28 days: those of June 3rd on, those of May 4th on, those of July 4th on
    store(stored, "2015-02", consents=[], contacts=[(1, datetime(2015, 2, 1))])
    counted = read_standings(LakeSession(stored), np.array(["2015-02"]), np.array([1]), long, settings_of())
    assert counted.messages.tolist() == [1]


def test_the_first_month_of_the_data_has_none_before_it(lake: Lake) -> None:
    first = settings_of().dataset.raw_months.first
    store(lake, first.key, consents=[], contacts=[(1, first.start)])
    wide = OFFERING._replace(message_days=60)
    found = read_standings(LakeSession(lake), np.array([first.key]), np.array([1]), wide, settings_of())
    assert found.messages.tolist() == [1]


def test_a_table_that_the_data_set_does_not_have_leaves_its_part_unknown(stored: Lake) -> None:
    every = settings_of(risk_profiles="r", consents="r", contacts="r", asset_bands="r")
    assert read(stored, ["2015-05"], [1], every).each(BANDS) == [UNKNOWN]
    (found,) = read(stored, ["2015-05"], [1], settings_of(contacts="r")).each(BANDS)
    assert found == Standing(2, "2015-06-01", "high", frozenset({"app"}), True, False, None)


def test_a_table_that_should_be_there_and_is_not_is_an_error(stored: Lake) -> None:
    with pytest.raises(LakeError, match="raw/contacts@2015-04"):
        read_standings(
            LakeSession(stored), np.array(["2015-05"]), np.array([1]), OFFERING._replace(message_days=40), settings_of()
        )


def test_messages_are_counted_by_product_as_they_are_by_customer(lake: Lake) -> None:
    late, early = datetime(2015, 5, 30), datetime(2015, 5, 24, 23, 59)
    contacts = [(1, late, 4), (1, late, 4), (1, late, None), (1, early, 4), (3, late, 0), (9, late, 4)]
    store(lake, "2015-05", consents=[], contacts=contacts)
    session, months, customers = LakeSession(lake), np.array(["2015-05"] * 3), np.array([3, 2, 1])
    found = read_messages(session, months, customers, OFFERING, settings_of())
    assert found is not None
    assert {(row, product): count for (row, product), count in np.ndenumerate(found) if count} == {(0, 0): 1, (2, 4): 2}
    assert read_messages(session, months, customers, OFFERING, settings_of(contacts="r")) is None
