"""A small bank's own tables, mapped: what is visible when, what is refused, and what the order of rows does to it (nothing)."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finai_assets.ingest.load import load_month
from finai_assets.ingest.pseudonym import pseudonymise
from finai_assets.ingest.tables.adapter import TablesAdapter, violations
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError, ContractError, FinaiError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

KEY = b"a key of a test, not of a bank...."
JANUARY, FEBRUARY = Month.parse("1993-01"), Month.parse("1993-02")
CUSTOMERS = [
    "id;born;since;tier;pay",
    "007;1960-05-01;1990-03-01;basic;1.200,50",
    "A-1;1970-01-31;1993-01-20;gold;",
    "x;;1993-02-03;gold;9,5",
]
PAYMENTS = [
    "no;customer;day;amount;kind;shop",
    "1;007;1993-01-02;-10,5;food;Kim's",
    "2;007;1993-01-02;-2;rent;",
    "3;A-1;1993-01-20;1.000;pay;Kim's",
    "4;007;1993-02-05;-7;food;Lee",
    "5;x;1993-02-06;-1;rent;",
    "6;A-1;1993-02-07;-3;food;Lee",
]
LOANS = ["customer;product;from;to", "007;mortgage;1992-06-01;1993-02-15", "A-1;loan;1993-02-01;"]
TABLES: dict[str, Any] = {
    "sources": {
        "customers": {
            "path": "customers.csv", "delimiter": ";", "decimal": ",", "thousands": ".", "key": ["id"],
            "computed": {"since_day": "CAST(since AS DATE)"}, "known_from": "since_day",
        },
        "payments": {
            "path": "payments.csv", "delimiter": ";", "decimal": ",", "thousands": ".",
            "computed": {"paid": "CAST(day AS DATE)"}, "known_from": "paid",
        },
        "loans": {"path": "loans.csv", "delimiter": ";", "known_from": 'CAST("from" AS DATE)'},
    },
    "queries": {"spent": "SELECT customer AS id, count(*) AS payments FROM payments GROUP BY customer"},
    "snapshots": {
        "from": "customers JOIN spent USING (id)",
        "customer": "id",
        "columns": {
            "age": "date_diff('year', CAST(born AS DATE), month_start())",
            "income": "pay",
            "tenure_months": "date_diff('month', since_day, month_start())",
            "segment": "tier",
        },
    },
    "transactions": {
        "from": "payments", "customer": "customer", "ts": "paid", "amount": "amount", "category": "kind", "merchant": "shop",
        "id": "no",
    },
    "holdings": {
        "rows": [{
            "from": "loans", "customer": "customer", "product": "product", "words": {"mortgage": "loan", "loan": "gold_card"},
            "opened": 'CAST("from" AS DATE)', "closed": 'CAST("to" AS DATE)',
        }],
        "derived": {"household_payment": "category = 'rent' AND amount < 0"},
    },
    "categories": {
        "codes": {
            "food": {"name": "Food", "l2": "daily", "l1": "spent"},
            "rent": {"name": "Rent", "l2": "home", "l1": "spent"},
            "pay": {"name": "Pay", "l2": "received", "l1": "received"},
        }
    },
    "protected": {"columns": {"tier": "tier"}},
}  # fmt: skip


def adapter(folder: Path, change: Any = None, **texts: list[str]) -> TablesAdapter:
    """Return the adapter of the small bank; ``change`` alters its mapping, and texts its files."""
    folder.mkdir(exist_ok=True)
    for name, lines in {"customers": CUSTOMERS, "payments": PAYMENTS, "loans": LOANS, **texts}.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    mapping = copy.deepcopy(TABLES)
    if change is not None:
        change(mapping)
    return TablesAdapter(chosen(folder, mapping), KEY)


BERKA = load_settings("berka").model_dump(by_alias=True)


def chosen(folder: Path, mapping: dict[str, Any]) -> Settings:
    unknown = mapping["categories"].get("unknown", "error") if "categories" in mapping else "error"
    absent = {name: why for name, why in BERKA["dataset"]["unavailable_tables"].items() if name not in mapping}
    dataset = {
        "source": str(folder),
        "segments": ["basic", "gold"],
        "unknown_mcc": unknown,
        "unavailable_tables": absent,
    }
    return Settings.model_validate({**BERKA, "dataset": BERKA["dataset"] | dataset, "tables": mapping})


def rows(opened: TablesAdapter, month: Month, name: str = "snapshots") -> list[dict[str, Any]]:
    return pa.concat_tables([piece.table for piece in getattr(opened.month(month), name)]).to_pylist()


def by_customer(opened: TablesAdapter, month: Month) -> dict[str, dict[str, Any]]:
    names = dict(zip(pseudonymise(["007", "A-1", "x"], KEY).tolist(), ("007", "A-1", "x"), strict=True))
    return {names[row["customer_id"]]: row for row in rows(opened, month)}


def test_a_month_has_the_hand_checked_values(tmp_path: Path) -> None:
    opened = adapter(tmp_path)
    ids = opened.settings.product_ids
    assert opened.months() == [JANUARY, FEBRUARY]
    january, february = by_customer(opened, JANUARY), by_customer(opened, FEBRUARY)
    assert set(january) == {"007", "A-1"}
    assert (january["007"]["age"], january["007"]["income"], january["007"]["tenure_months"]) == (33, 1200.5, 34)
    assert (january["007"]["segment"], january["A-1"]["income"], february["x"]["age"]) == ("basic", None, None)
    assert january["007"]["held"] == [ids["household_payment"], ids["loan"]]
    assert february["007"]["held"] == [ids["household_payment"]]  # the mortgage ended on 1993-02-15
    assert (january["A-1"]["held"], february["A-1"]["held"]) == ([], [ids["gold_card"]])
    payments = rows(opened, JANUARY, "transactions")
    assert sorted((each["amount"], each["mcc"]) for each in payments) == [(-10.5, 1), (-2.0, 2), (1000.0, 3)]
    kim = {each["merchant_id"] for each in payments if each["mcc"] != 2}
    assert len(kim) == 1
    assert [each["merchant_id"] for each in payments if each["mcc"] == 2] == [None]


def test_a_loaded_month_keeps_the_contract(tmp_path: Path, lake: Lake) -> None:
    opened = adapter(tmp_path)
    figures = load_month(opened, LakeSession(lake), FEBRUARY, opened.settings, code_version="1")
    assert figures["raw/snapshots"]["rows"] == 3
    assert figures["raw/transactions"]["rows"] == 3
    assert set(lake.manifest("raw/snapshots", "1993-02").extra["source_schema"]) == {"customers", "payments", "loans"}


def test_a_month_is_the_same_whatever_later_rows_hold(tmp_path: Path) -> None:
    whole = adapter(tmp_path / "whole")
    other = adapter(
        tmp_path / "other",
        payments=[*PAYMENTS[:4], "4;007;1993-02-05;-700;rent;", "7;007;1993-02-09;nonsense;nonsense;"],
        customers=[*CUSTOMERS[:3], "y;nonsense;1993-02-28;nobody;nonsense"],
        loans=[*LOANS[:2], "A-1;nonsense;1993-02-02;nonsense"],
    )
    for name in ("snapshots", "transactions", "protected"):
        assert rows(whole, JANUARY, name) == rows(other, JANUARY, name)
    with pytest.raises(ContractError):
        other.month(FEBRUARY)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_the_rows_of_a_source_does_not_matter(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    tie = "8;007;1993-01-02;-10,5;food;Lee"
    mixed = {name: [lines[0], *draw.sample(lines[1:], len(lines) - 1)] for name, lines in
             (("payments", [*PAYMENTS, tie]), ("customers", CUSTOMERS), ("loans", LOANS))}  # fmt: skip
    plain, shuffled = adapter(tmp_path / "plain", payments=[*PAYMENTS, tie]), adapter(tmp_path / "mixed", **mixed)
    for name in ("snapshots", "transactions", "protected"):
        assert rows(plain, JANUARY, name) == rows(shuffled, JANUARY, name)


def test_the_whole_text_of_an_identifier_becomes_the_token(tmp_path: Path) -> None:
    texts = ["7", "007", "9007199254740993", "18446744073709551615", "7b0e5c1e-6f2d-4b7e-9a57-0c1d2e3f4a5b", "Ж-1"]
    opened = adapter(
        tmp_path,
        customers=[CUSTOMERS[0], *(f"{each};;1990-01-01;basic;" for each in texts)],
        payments=[PAYMENTS[0], *(f"{i};{each};1993-01-05;-1;food;" for i, each in enumerate(texts))],
    )
    assert [row["customer_id"] for row in rows(opened, JANUARY)] == sorted(pseudonymise(texts, KEY).tolist())


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.decimal128(20, 0), pa.string()])
def test_identifiers_of_any_exact_type_keep_every_digit(tmp_path: Path, kind: pa.DataType) -> None:
    def parquet(mapping: dict[str, Any]) -> None:
        mapping["sources"]["customers"] |= {"path": "c.parquet"}

    number = 9007199254740993
    opened = adapter(tmp_path, parquet, payments=[PAYMENTS[0], f"1;{number};1993-01-05;-1;food;"])
    values = [str(number)] if pa.types.is_string(kind) else [number]
    columns = {"id": pa.array(values, kind), **dict.fromkeys(("born", "pay"), pa.nulls(1, pa.string()))}
    pq.write_table(pa.table(columns | {"since": ["1990-01-01"], "tier": ["basic"]}), tmp_path / "c.parquet")
    assert [row["customer_id"] for row in rows(opened, JANUARY)] == pseudonymise([str(number)], KEY).tolist()


def test_a_floating_number_is_no_identifier(tmp_path: Path) -> None:
    opened = adapter(tmp_path, lambda m: m["snapshots"].update(customer="CAST(id AS DOUBLE)"))
    with pytest.raises(ContractError, match=r"customers.csv, column id: wrong type DOUBLE of an identifier"):
        opened.month(JANUARY)


@pytest.mark.parametrize(
    ("name", "line", "old", "new", "told"),
    [
        ("payments", 1, "-10,5", "-10.5", r"payments.csv, column amount: .*'-10.5' is not a number: 1 row.*row 1"),
        ("payments", 1, "-10,5", "", r"column amount: .*null in a required column: 1 row, for example \(row 1"),
        ("payments", 2, "1993-01-02", "2.1.1993", r"column day: .*computed.paid.*: 1 row, for example \(row 2: day='2.1.1993'\)"),
        ("payments", 2, "1993-01-02", "", r"column paid: .*known_from: a row without it: 1 row"),
        ("payments", 2, "2;", "1;", r"column no: transactions with the same id: 1 row, for example \(row 2: id='1'"),
        ("payments", 4, "4;", "1;", r"column no: transactions with the same id: 1 row, for example \(row 4: id='1'"),
        ("payments", 2, "2;", ";", r"column no: .*null in a required column: 1 row"),
        ("payments", 2, "007", "008", r"column customer: transaction of a customer who is not in .*'008'"),
        ("payments", 2, "007", "", r"column customer: .*missing, blank, or holds a NUL: 1 row"),
        ("payments", 2, "rent", "rant", r"column kind: unknown category: 1 row, for example \(row 2: category='rant'\)"),
        ("customers", 1, "1960-05-01", "1960-05-32", r"customers.csv.*column born: .*snapshots.*: 1 row.*1960-05-32"),
        ("customers", 1, "1.200,50", "1.2,50", r"column pay: .*'1.2,50' is not a number: 1 row"),
        ("customers", 2, "A-1", "007", r"column id: duplicate key: 1 row, for example \(row 2: id='007'\)"),
        ("loans", 1, "mortgage", "morgage", r"column product: unknown word for .*: known are mortgage, loan: 1 row.*morgage"),
        ("loans", 1, "1993-02-15", "soon", r"column to: .*holdings.rows.0.closed.*: 1 row, for example \(row 1: to='soon'\)"),
    ],
)  # fmt: skip
def test_a_value_that_breaks_a_rule_is_refused_with_its_row(
    tmp_path: Path, name: str, line: int, old: str, new: str, told: str
) -> None:
    lines = list({"customers": CUSTOMERS, "payments": PAYMENTS, "loans": LOANS}[name])
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new, 1)
    opened = adapter(tmp_path, **{name: lines})
    with pytest.raises(ContractError, match=told):
        opened.month(FEBRUARY if line == 4 else JANUARY)


def test_every_violation_of_all_months_is_found_at_once(tmp_path: Path) -> None:
    payments = [*PAYMENTS[:3], "3;A-1;1993-01-20;1e;pay;", "4;007;1993-02-05;-7;foot;Lee", *PAYMENTS[5:]]
    found = violations(adapter(tmp_path, payments=payments), [JANUARY, FEBRUARY])
    told = {(each.column, each.rule.split(":")[-1].strip()): count for each, count in found.counts.items()}
    assert told[("amount", "'1e' is not a number")] == 1
    assert told[("kind", "unknown category")] == 1


@pytest.mark.parametrize(
    ("part", "sql", "error", "told"),
    [
        (("transactions", "amount"), "amont", ContractError, r"column amont: .*not there(.|\n)*did you mean amount"),
        (("transactions", "amount"), "random()", ConfigError, "another value in another run"),
        (("transactions", "amount"), "current_timestamp", ConfigError, "another run"),
        (("transactions", "amount"), "amount; DROP TABLE x", ConfigError, "not allowed here"),
        (("transactions", "amount"), "(SELECT max(amount) FROM payments)", ConfigError, "holds a query"),
        (("transactions", "amount"), "TRY(CAST(amount AS DOUBLE))", ConfigError, "TRY makes"),
        (("transactions", "ts"), "strptime(day, '%y%m%d')", ConfigError, "no century"),
        (("transactions", "ts"), "parse_date(day, '%Y-%m-%d', 1900)", ConfigError, "remove the century"),
        (("transactions", "ts"), "day", ConfigError, "VARCHAR, not a date or a time"),
        (("transactions", "from"), "read_csv('/etc/passwd')", ConfigError, "reads what is no source"),
        (("transactions", "from"), "'/etc/passwd'", ConfigError, "there are no rows"),
        (("transactions", "from"), "payment", ConfigError, r"there are no rows 'payment'(.|\n)*did you mean payments"),
        (("queries", "spent"), "COPY payments TO 'x'", ConfigError, "not allowed here"),
        (("queries", "spent"), "SELECT id FROM payments LIMIT 1", ConfigError, "depend on their order"),
        (("queries", "spent"), "SELECT any_value(no) AS id FROM payments", ConfigError, "depends on the order"),
        (("queries", "spent"), "SELECT customr AS id FROM payments", ContractError, "did you mean customer"),
    ],
)  # fmt: skip
def test_an_expression_that_cannot_be_is_refused_before_a_row_is_judged(
    tmp_path: Path, part: tuple[str, str], sql: str, error: type[FinaiError], told: str
) -> None:
    opened = adapter(tmp_path, lambda mapping: mapping[part[0]].update({part[1]: sql}))
    with pytest.raises(error, match=told):
        opened.month(JANUARY)


def test_years_of_two_digits_lie_in_the_declared_century(tmp_path: Path) -> None:
    def short(mapping: dict[str, Any]) -> None:
        mapping["snapshots"]["columns"]["age"] = "date_diff('year', parse_date(born, '%y%m%d', 1900), month_start())"

    opened = adapter(
        tmp_path, short, customers=[CUSTOMERS[0], "007;150228;1990-03-01;basic;", "A-1;700131;1993-01-20;gold;"]
    )
    found = by_customer(opened, JANUARY)
    assert (found["007"]["age"], found["A-1"]["age"]) == (78, 23)  # 1915 and not 2015


@pytest.mark.parametrize(
    ("sign", "amount", "word", "right"),
    [
        ("unsigned", "10", "out", -10.0), ("unsigned", "10", "in", 10.0), ("unsigned", "-10", "out", None),
        ("unsigned", "-10", "in", None), ("signed", "-10", "out", -10.0), ("signed", "10", "out", None),
        ("signed", "-10", "in", None), ("unsigned", "0", "out", 0.0), ("signed", "10", "sideways", None),
    ],
)  # fmt: skip
def test_a_sign_that_contradicts_the_word_for_debit_is_refused(
    tmp_path: Path, sign: str, amount: str, word: str, right: float | None
) -> None:
    def debit(mapping: dict[str, Any]) -> None:
        mapping["transactions"]["debit"] = {"column": "shop", "words": ["out"], "credit": ["in"], "sign": sign}

    opened = adapter(tmp_path, debit, payments=[PAYMENTS[0], f"1;007;1993-01-02;{amount};food;{word}"])
    if right is None:
        with pytest.raises(ContractError, match=r"column (amount, )?shop: (.*sign|unknown word).*1 row.*row 1"):
            opened.month(JANUARY)
    else:
        assert [each["amount"] for each in rows(opened, JANUARY, "transactions")] == [right]


def test_unknown_categories_are_reported_with_their_share_where_they_may_be_few(tmp_path: Path) -> None:
    def other(mapping: dict[str, Any]) -> None:
        mapping["categories"]["unknown"] = "other"

    some = adapter(tmp_path / "some", other, payments=[line.replace("rent", "rant") for line in PAYMENTS])
    month = some.month(JANUARY)
    assert month.figures["transactions"]["share_of_unknown_categories"] == pytest.approx(1 / 3, abs=1e-6)
    renamed = [line.replace("food", "f").replace("rent", "r").replace(";pay", ";p") for line in PAYMENTS]
    with pytest.raises(ContractError, match="unknown category, in every transaction of the month: 3 rows"):
        adapter(tmp_path / "all", other, payments=renamed).month(JANUARY)


def test_tables_for_offering_hold_what_was_known_at_the_cutoff(tmp_path: Path) -> None:
    def offers(mapping: dict[str, Any]) -> None:
        mapping["sources"]["consent"] = {"path": "consent.csv", "delimiter": ";", "known_from": "CAST(given AS DATE)"}
        mapping["consents"] = {
            "from": "consent", "customer": "customer",
            "columns": {"purpose": "'marketing'", "channel": "channel", "given_on": "CAST(given AS DATE)",
                        "withdrawn_on": "CAST(withdrawn AS DATE)"},
        }  # fmt: skip

    consent = [
        "customer;channel;given;withdrawn",
        "007;sms;1993-01-03;1993-02-03",
        "A-1;email;1993-02-04;",
        "zz;sms;1993-01-01;",
    ]
    opened = adapter(tmp_path, offers, consent=consent)
    january, february = rows(opened, JANUARY, "consents"), rows(opened, FEBRUARY, "consents")
    assert [(each["channel"], each["withdrawn_on"]) for each in january] == [("sms", None)]
    assert {(each["channel"], str(each["withdrawn_on"])) for each in february} == {
        ("sms", "1993-02-03"),
        ("email", "None"),
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m["sources"]["loans"].pop("known_from"), "known_from.*static"),
        (lambda m: m["transactions"].update(id=None), "id_absent"),
        (lambda m: m["holdings"]["derived"].update(car="true"), "unknown products"),
        (lambda m: m["sources"]["loans"].update(url="sqlite:///x"), "either `path`"),
        (lambda m: m.pop("categories"), "belong together"),
    ],
)
def test_a_mapping_that_is_not_whole_is_refused(tmp_path: Path, change: Any, told: str) -> None:
    mapping = copy.deepcopy(TABLES)
    change(mapping)
    with pytest.raises(ValidationError, match=told):
        chosen(tmp_path, mapping)


def test_a_table_that_is_mapped_and_declared_absent_is_refused() -> None:
    consents = {"from": "loan", "customer": "number", "columns": {}}
    absent = {"unavailable_tables": {"consents": "nobody asked"}}
    with pytest.raises(ConfigError, match="declares absent"):
        load_settings("berka", overrides={"tables": {"consents": consents}, "dataset": absent})
    with pytest.raises(ConfigError, match="belong together"):
        load_settings("synthetic", overrides={"tables": TABLES})
