"""Each rule of the contract, broken once; and that what keeps them passes unchanged."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as chosen_for
from hypothesis import strategies as st
from whole_months import check_snapshots, check_transactions

from finai_assets.bundle.content import TEMPLATES_FILE, forbidden_in, read_config
from finai_assets.ingest.adapter import product_catalogue, product_terms
from finai_assets.ingest.contract import OTHER_MCC, PRODUCT_TERMS, SNAPSHOTS, TRANSACTIONS
from finai_assets.ingest.contract_checker import (
    MonthChecker,
    check_merchant_categories,
    check_months,
    check_product_terms,
    check_products,
)
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ContractError
from finai_resources.months import Month, month_range


def spoil(table: pa.Table, name: str, values: object, kind: pa.DataType | None = None) -> pa.Table:
    position = table.column_names.index(name)
    return table.set_column(position, name, pa.array(values, kind or table.schema.field(name).type))


@pytest.fixture
def of_snapshots(month: Month, settings: Settings):
    return partial(check_snapshots, month=month, settings=settings, source="crm.parquet")


@pytest.fixture
def of_transactions(month: Month, settings: Settings, mccs: np.ndarray):
    return partial(check_transactions, month=month, settings=settings, mccs=mccs, source="card.csv")


def test_a_table_that_keeps_the_contract_passes_unchanged(snapshots, transactions, of_snapshots, of_transactions):
    assert of_snapshots(snapshots).equals(snapshots)
    assert of_transactions(transactions).equals(transactions)


def test_kindred_types_are_brought_to_the_schema(snapshots, of_snapshots):
    wide = snapshots.set_column(2, "age", snapshots["age"].cast(pa.int64()))
    wide = wide.set_column(6, "gender", wide["gender"].cast(pa.large_string()).dictionary_encode())
    wide = wide.select(list(reversed(wide.column_names)))
    checked = of_snapshots(wide)
    assert checked.schema == SNAPSHOTS
    assert checked.equals(snapshots)


@pytest.mark.parametrize(
    ("name", "values", "kind", "told"),
    [
        ("age", ["20", "x", "30", "4"], pa.string(), ["column age", "wrong type string", "4 rows", "age=20"]),
        ("age", [20, 40_000, 99_999, 4], pa.int64(), ["column age", "does not fit int16", "2 rows", "age=40000"]),
        ("age", [20, 131, -1, 4], None, ["column age", "0..130", "2 rows", "customer_id=11, age=131"]),
        ("income", [1.0, float("nan"), float("inf"), -1.0], None, ["column income", "3 rows", "not finite"]),
        ("segment", ["mass", "gold", "gold", "plus"], None, ["column segment", "unknown segment", "2 rows", "segment=gold"]),
        ("customer_id", [10, 11, 11, 11], None, ["column customer_id", "duplicate (customer, month)", "2 rows"]),
        ("customer_id", [10, 12, 11, 13], None, ["column customer_id", "ascending order", "1 row", "customer_id=11"]),
        ("customer_id", [10, None, 11, 13], None, ["column customer_id", "null in a required column", "1 row"]),
        ("held", [[0], [24], [-1, 3], [None]], None, ["column held", "unknown product id", "3 rows", "held=[24]"]),
        ("held", [[3, 3], [4, 1], [], [1, 2]], None, ["column held", "not ascending", "2 rows", "held=[3, 3]"]),
        ("snapshot_month", [datetime(2015, 4, 1)] * 4, pa.date32(), ["snapshot outside 2015-03", "4 rows", "2015-04-01"]),
    ],
)  # fmt: skip
def test_a_bad_snapshot_column_is_refused_with_its_source_rule_and_row_count(
    snapshots, of_snapshots, name, values, kind, told
):
    with pytest.raises(ContractError) as caught:
        of_snapshots(spoil(snapshots, name, values, kind))
    for part in ("crm.parquet", "What to do", *told):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "kind", "told"),
    [
        ("amount", [1.0, float("nan"), float("inf"), -float("inf")], None, ["column amount", "not finite", "3 rows"]),
        ("mcc", [5411, 9999, 9998, 4111], None, ["column mcc", "unknown MCC", "2 rows", "mcc=9999", "unknown_mcc: other"]),
        ("ts", [datetime(2015, 2, 28), datetime(2015, 3, 1), datetime(2015, 3, 2), datetime(2015, 3, 3)], None,
         ["column ts", "before 2015-03", "1 row", "2015-02-28"]),
        ("ts", [datetime(2015, 3, 1), datetime(2015, 4, 1), datetime(2015, 4, 2), datetime(2015, 3, 3)], None,
         ["column ts", "in the future of 2015-03", "2 rows", "2015-04-01"]),
        ("ts", [datetime(2015, 3, 9), datetime(2015, 3, 8), datetime(2015, 3, 2), datetime(2015, 3, 3)], None,
         ["column ts", "do not ascend", "1 row"]),
        ("ts", ["2015-03-01"] * 4, pa.string(), ["column ts", "wrong type string, not timestamp[us]", "4 rows"]),
        ("ts", [datetime(2015, 3, 1)] * 4, pa.timestamp("us", tz="UTC"), ["column ts", "wrong type timestamp[us, tz=UTC]"]),
    ],
)  # fmt: skip
def test_a_bad_transaction_column_is_refused_with_its_source_rule_and_row_count(
    transactions, of_transactions, name, values, kind, told
):
    with pytest.raises(ContractError) as caught:
        of_transactions(spoil(transactions, name, values, kind))
    for part in ("card.csv", "What to do", *told):
        assert part in str(caught.value)


def test_at_most_three_rows_are_shown_and_all_are_counted(transactions, of_transactions):
    with pytest.raises(ContractError, match=r"4 rows, for example (\([^)]*\)(; )?){3}(\n|$)"):
        of_transactions(spoil(transactions, "mcc", [1, 2, 3, 4]))


def test_further_broken_rules_are_named_with_their_counts(transactions, of_transactions):
    both = spoil(spoil(transactions, "mcc", [1, 2, 5411, 4111]), "amount", [1.0, 1.0, 1.0, float("nan")])
    with pytest.raises(ContractError, match=r"amount is not finite: 1 row.*Also broken: mcc: unknown MCC \(2 rows\)"):
        of_transactions(both)


def test_missing_unknown_and_double_columns_are_refused(snapshots, of_snapshots):
    with pytest.raises(ContractError, match=r"missing column \(4 rows\): age"):
        of_snapshots(snapshots.drop_columns(["age"]))
    with pytest.raises(ContractError, match=r"unknown column \(4 rows\): phone"):
        of_snapshots(snapshots.append_column("phone", pa.array(["1"] * 4)))
    with pytest.raises(ContractError, match=r"column occurs twice \(4 rows\): age"):
        of_snapshots(snapshots.append_column("age", snapshots["age"]))


def test_an_empty_month_is_refused(snapshots, transactions, of_snapshots, of_transactions):
    with pytest.raises(ContractError, match=r"crm.parquet.*empty month: 0 rows of snapshots for 2015-03"):
        of_snapshots(snapshots.slice(0, 0))
    with pytest.raises(ContractError, match="empty month: 0 rows of transactions for 2015-03"):
        of_transactions(transactions.slice(0, 0))


def test_sentinels_become_null_before_the_ranges_are_checked(snapshots, month):
    chosen = load_settings(
        "synthetic", "smoke", overrides={"dataset": {"sentinels": {"age": [-999999, 0], "income": [0]}}}
    )
    wide = spoil(snapshots, "age", [-999999, 0, 30, 40], pa.int64())
    checked = check_snapshots(wide, month=month, settings=chosen, source="crm.parquet")
    assert checked["age"].to_pylist() == [None, None, 30, 40]
    assert checked["income"].to_pylist() == [1e6, None, 2.5e6, None]


def test_an_unknown_mcc_becomes_other_where_the_settings_say_so(transactions, month, mccs):
    chosen = load_settings("synthetic", "smoke", overrides={"dataset": {"unknown_mcc": "other"}})
    strange = spoil(transactions, "mcc", [5411, 9999, 5812, 1])
    checked = check_transactions(strange, month=month, settings=chosen, mccs=mccs, source="card.csv")
    assert checked["mcc"].to_pylist() == [5411, OTHER_MCC, 5812, OTHER_MCC]
    assert checked.schema == TRANSACTIONS


def test_a_duplicate_across_two_pieces_is_found(snapshots, month, settings, mccs):
    checker = MonthChecker(month, settings, mccs)
    checker.snapshots(snapshots.slice(0, 2), source="part-0")
    checker.snapshots(snapshots.slice(1, 3), source="part-1")
    with pytest.raises(ContractError, match=r"part-1.*duplicate \(customer, month\): 1 row.*customer_id=11"):
        checker.finish()


def test_rows_are_counted_over_all_pieces(transactions, month, settings, mccs):
    checker = MonthChecker(month, settings, mccs)
    strange = spoil(transactions, "mcc", [1, 2, 3, 4])
    for low in range(4):
        checker.transactions(strange.slice(low, 1), source="card.csv")
    with pytest.raises(ContractError, match="unknown MCC: 4 rows"):
        checker.finish()


def test_a_month_missing_in_the_middle_is_refused_and_a_later_start_is_not():
    months = list(month_range(Month.parse("2014-03"), Month.parse("2014-09")))
    check_months(months, Month.parse("2014-01"), Month.parse("2014-12"), source="crm")
    without = [month for month in months if month.key not in ("2014-05", "2014-06")]
    with pytest.raises(ContractError, match=r"crm.*missing in the middle: 2 of 7.*2014-05, 2014-06"):
        check_months(without, Month.parse("2014-01"), Month.parse("2014-12"), source="crm")
    with pytest.raises(ContractError, match=r"no month of 2016-01..2016-02"):
        check_months(months, Month.parse("2016-01"), Month.parse("2016-02"), source="crm")


@pytest.mark.parametrize(
    ("name", "position", "value", "told"),
    [
        ("product_id", 1, 7, "not dense from 0: 1 row"),
        ("family", 0, 6, r"family outside 0\.\.5: 1 row"),
        ("risk_grade", 2, 7, r"risk grade outside 1\.\.6: 1 row"),
        ("product_class", 3, "crypto", "product class not one of.*1 row"),
    ],
)
def test_a_bad_catalogue_is_refused(settings, name, position, value, told):
    table = product_catalogue(settings)
    assert check_products(table, settings=settings, source="catalogue").equals(table)
    values = table[name].to_pylist()
    values[position] = value
    with pytest.raises(ContractError, match=told):
        check_products(spoil(table, name, values), settings=settings, source="catalogue")


def test_the_tree_of_categories_is_checked_and_gets_a_leaf_for_unknown_codes(settings):
    tree = pa.table({"mcc": [3, 1, 2], "name": ["c", "a", "b"], "l2": [1, 0, 0], "l1": [1, 0, 0]})
    assert check_merchant_categories(tree, settings=settings, source="mcc.csv")["mcc"].to_pylist() == [1, 2, 3]
    other = load_settings("synthetic", "smoke", overrides={"dataset": {"unknown_mcc": "other"}})
    grown = check_merchant_categories(tree, settings=other, source="mcc.csv")
    assert grown.slice(0, 1).to_pylist() == [{"mcc": OTHER_MCC, "name": "Other", "l2": 2, "l1": 2}]
    with pytest.raises(ContractError, match="duplicate code: 1 row"):
        check_merchant_categories(spoil(tree, "mcc", [3, 1, 1]), settings=settings, source="mcc.csv")
    with pytest.raises(ContractError, match="l2 category under two l1 categories: 1 row"):
        check_merchant_categories(spoil(tree, "l1", [1, 0, 1]), settings=settings, source="mcc.csv")
    with pytest.raises(ContractError, match="code is not positive"):
        check_merchant_categories(spoil(tree, "mcc", [3, 1, 0]), settings=settings, source="mcc.csv")


rows = st.lists(
    st.tuples(
        st.integers(0, 2**62),
        st.integers(0, 31 * 24 * 3600 * 10**6 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([4111, 5411, 5812]),
        st.none() | st.integers(0, 2**62),
    ),
    min_size=1,
    max_size=40,
)


@chosen_for(deadline=None, max_examples=50)  # the time is the file system's
@given(rows=rows)
def test_any_valid_table_survives_the_check_and_a_parquet_file(rows, settings, tmp_path_factory):
    month = Month.parse("2015-03")
    rows = sorted(rows, key=lambda row: row[:2])
    columns = [list(column) for column in zip(*rows, strict=True)]
    columns[1] = [month.start + timedelta(microseconds=offset) for offset in columns[1]]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, TRANSACTIONS, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=TRANSACTIONS)
    mccs = np.array([4111, 5411, 5812], dtype=np.int32)
    checked = check_transactions(table, month=month, settings=settings, mccs=mccs, source="x")
    path = tmp_path_factory.mktemp("round") / "t.parquet"
    pq.write_table(checked, path)
    assert pq.read_table(path).equals(table)


DAY, LATER = date(2014, 12, 1), date(2014, 12, 31)
OFFERS = {
    "risk_profiles": {"customer_id": [1, 2], "grade": [1, 6], "assessed_on": [DAY, DAY], "expires_on": [LATER, LATER]},
    "consents": {
        "customer_id": [1, 1, 2],
        "purpose": ["automated_decision", "marketing", "marketing"],
        "channel": [None, "app", "app"],
        "given_on": [DAY, DAY, DAY],
        "withdrawn_on": [None, DAY, LATER],
    },
    "contacts": {"customer_id": [1, 2], "ts": [None, None], "channel": ["app", "sms"], "product_id": [0, None]},
    "asset_bands": {"customer_id": [1, 2], "band": ["under_10m", "from_100m"]},
}


def offer(month: Month, name: str, **changed: list[object]) -> pa.Table:
    values = {**OFFERS[name], **({"ts": [month.start, month.start]} if name == "contacts" else {}), **changed}
    return pa.table({column: pa.array(found) for column, found in values.items()})


def check_offer(month: Month, settings: Settings, name: str, *pieces: pa.Table) -> None:
    checker = MonthChecker(month, settings, np.empty(0, dtype=np.int32))
    for piece in pieces:
        checker.offer(name, piece, source=f"{name}.parquet")
    checker.finish([])


@pytest.mark.parametrize("name", OFFERS)
def test_an_offer_table_that_keeps_the_contract_passes_and_may_be_empty(month, settings, name):
    table = offer(month, name)
    check_offer(month, settings, name, table)
    check_offer(month, settings, name, table.slice(0, 0))


@pytest.mark.parametrize(
    ("name", "column", "values", "told"),
    [
        ("risk_profiles", "customer_id", [1, 1], "duplicate (customer, month)"),
        ("risk_profiles", "assessed_on", [None, DAY], "null in a required column"),
        ("risk_profiles", "grade", [0, 7], "value outside 1..6 or not finite: 2 rows"),
        (
            "risk_profiles",
            "expires_on",
            [LATER, DAY],
            "risk profile expires on or before the day of its assessment: 1 row",
        ),
        ("risk_profiles", "assessed_on", [DAY, date(2099, 1, 1)], "date in the future of"),
        ("consents", "purpose", ["advice", "marketing", "marketing"], "unknown purpose: 1 row"),
        ("consents", "channel", [None, "fax", "app"], "unknown channel: 1 row"),
        ("consents", "channel", ["app", "app", "app"], "given for another purpose"),
        ("consents", "channel", [None, None, "app"], "channel missing for marketing"),
        ("consents", "given_on", [DAY, LATER, DAY], "consent given after its withdrawal: 1 row"),
        ("consents", "given_on", [DAY, DAY, date(2099, 1, 1)], "date in the future of"),
        ("consents", "withdrawn_on", [None, date(2099, 1, 1), None], "date in the future of"),
        ("contacts", "product_id", [0, 99], "unknown product id: 1 row"),
        ("contacts", "channel", ["app", "fax"], "unknown channel"),
        ("asset_bands", "band", ["rich", "under_10m"], "unknown asset band: 1 row"),
    ],
)
def test_each_rule_of_the_offer_tables_is_told_once(month, settings, name, column, values, told):
    with pytest.raises(ContractError, match=re.escape(told)) as error:
        check_offer(month, settings, name, offer(month, name, **{column: values}))
    blamed = "withdrawn_on" if "withdrawal" in told else column
    assert f"{name}.parquet, column {blamed}" in str(error.value)


def test_contradictory_consents_are_refused_across_pieces_too(month, settings):
    table = offer(month, "consents", channel=[None, "app", "app"])
    with pytest.raises(ContractError, match="contradictory rows of one customer, purpose, channel: 1 row"):
        check_offer(month, settings, "consents", table, table.slice(2, 1))
    with pytest.raises(ContractError, match="rows of a customer do not ascend by purpose, channel: 1 row"):
        check_offer(month, settings, "consents", table.take(pa.array([1, 0, 2])))


def test_messages_within_a_customer_ascend(month, settings):
    twice = offer(month, "contacts", customer_id=[1, 1], ts=[month.start + timedelta(hours=1), month.start])
    with pytest.raises(ContractError, match="times within a customer do not ascend"):
        check_offer(month, settings, "contacts", twice)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"rate_low": 2.0, "rate_high": 2.0}, "a rate without a period, and not open_ended"),
        ({"minimum_age": 35, "maximum_age": 34}, "minimum_age above maximum_age"),
        ({"rate_low": 3.0, "rate_high": 2.0, "period_months": 12}, "rate_low above rate_high"),
        ({"minimum_asset_band": "rich"}, "unknown asset band"),
        ({"benefits": [{"category": "space", "ko": "", "en": ""}]}, "benefit in an unknown merchant category"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(settings, changed, told):
    rows = product_terms(settings).to_pylist()
    rows[3] = {**rows[3], "rate_low": None, "rate_high": None, "period_months": None, "open_ended": False, **changed}
    with pytest.raises(ContractError, match=told) as error:
        check_product_terms(pa.Table.from_pylist(rows, PRODUCT_TERMS), settings=settings, source="terms")
    assert "product_id=3" in str(error.value)


def test_no_term_or_name_of_a_product_holds_a_word_that_reasons_may_not_hold(settings):
    templates = read_config(TEMPLATES_FILE)
    texts = [(benefit.ko, benefit.en) for product in settings.products for benefit in product.terms.benefits]
    texts += [(product.name_ko, product.name) for product in settings.products]
    assert len(texts) > 50
    for pair in texts:
        assert not [
            word
            for text, language in zip(pair, ("ko", "en"), strict=True)
            for word in forbidden_in(text, language, templates)
        ], pair
