"""Numbers as countries and programs write them: read exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.tables.reading.numbers import NumberFormat
from finai_resources.errors import ConfigError

EUROPE = NumberFormat(",", ".")
FORMATS = {
    "plain": NumberFormat(),
    "english": NumberFormat(".", ","),
    "european": EUROPE,
    "french": NumberFormat(",", " "),
    "swiss": NumberFormat(".", "'"),
    "sap": NumberFormat(",", ".", trailing_minus=True),
    "accounts": NumberFormat(".", ",", parentheses=True),
}


def in_sql(form: NumberFormat, texts: list[str | None]) -> list[float | None]:
    with duckdb.connect() as connection:
        connection.execute(form.macro("number"))
        rows = pa.table({"t": pa.array(texts, pa.string()), "n": range(len(texts))})
        connection.register("given", rows)
        return [row[0] for row in connection.execute("SELECT number(t) FROM given ORDER BY n").fetchall()]


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        ("plain", ".50", 0.5),
        ("plain", "-.5", -0.5),
        ("plain", "5.", 5.0),
        ("plain", "+7", 7.0),
        ("plain", " -5\t", -5.0),
        ("plain", "1e3", 1000.0),
        ("plain", "1.5E-2", 0.015),
        ("plain", "007", 7.0),
        ("european", "1.234,50", 1234.5),
        ("european", "1.234", 1234.0),
        ("european", "-1.234.567,8", -1234567.8),
        ("european", ",5", 0.5),
        ("european", "1234,5", 1234.5),
        ("english", "1,234.50", 1234.5),
        ("french", "1 234,5", 1234.5),
        ("french", "1\u00a0234,5", 1234.5),
        ("french", "1\u202f234\u202f567", 1234567.0),
        ("swiss", "1'234.50", 1234.5),
        ("swiss", "1\u2019234.50", 1234.5),
        ("sap", "1.234,50-", -1234.5),
        ("accounts", "(1,234.50)", -1234.5),
    ],
)
def test_a_number_is_read_by_the_declared_rule(form, text, number):
    assert FORMATS[form].values(pa.array([text])).to_pylist() == [number]
    assert in_sql(FORMATS[form], [text]) == [number]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("plain", "1,234.50"),
        ("plain", "1.234,50"),
        ("plain", "5-"),
        ("plain", "(5)"),
        ("plain", "--5"),
        ("plain", "."),
        ("plain", "-"),
        ("plain", "1 234"),
        ("plain", "NaN"),
        ("plain", "inf"),
        ("plain", "1e999"),
        ("plain", "0x10"),
        ("plain", "1_000"),
        ("plain", "5 €"),
        ("plain", "12%"),
        ("plain", "\u0661\u0662"),
        ("plain", "5\n6"),
        ("european", "1.5"),
        ("european", "12.34,5"),
        ("european", "1,234.50"),
        ("european", "1.2345"),
        ("european", ".234,5"),
        ("english", "1,23"),
        ("english", "1,,234"),
        ("sap", "-5-"),
        ("accounts", "(-5)"),
        ("accounts", "(5"),
    ],
)
def test_what_the_rule_does_not_read_is_never_another_number(form, text):
    assert FORMATS[form].values(pa.array([text])).to_pylist() == [None]
    assert in_sql(FORMATS[form], [text]) == [None]


def test_a_missing_value_and_an_empty_column_stay_so():
    assert EUROPE.plain(pa.array(["", None], pa.string())).to_pylist() == [None, None]
    assert in_sql(EUROPE, [None, ""]) == [None, None]


@pytest.mark.parametrize(
    "signs", [(",", ","), ("", None), (".", "5"), (".", "x"), ("..", None), (".", "-"), ("\u00a0", " ")]
)
def test_signs_that_cannot_be_are_refused(signs):
    with pytest.raises(ConfigError, match="sign"):
        NumberFormat(*signs)


def written(number: Decimal, form: NumberFormat, *, grouped: bool) -> str:
    sign, text = ("-" if number < 0 else ""), f"{abs(number):f}"
    whole, _, fraction = text.partition(".")
    if grouped and form.thousands:
        head = len(whole) % 3
        groups = ([whole[:head]] if head else []) + [whole[i : i + 3] for i in range(head, len(whole), 3)]
        whole = form.thousands.join(groups)
    text = whole + (form.decimal + fraction if fraction else "")
    if sign and form.parentheses:
        return f"({text})"
    return f"{text}-" if sign and form.trailing_minus else sign + text


@given(
    numbers=st.lists(st.decimals(-(10**15), 10**15, places=2), min_size=1, max_size=20),
    name=st.sampled_from(sorted(FORMATS)),
    grouped=st.booleans(),
)
def test_every_number_that_is_written_by_a_rule_comes_back_to_the_bit(numbers, name, grouped):
    form = FORMATS[name]
    texts = [written(number, form, grouped=grouped) for number in numbers]
    wanted = [float(number) for number in numbers]
    assert form.values(pa.array(texts)).to_pylist() == wanted
    assert [Decimal(text) for text in form.plain(pa.array(texts)).to_pylist()] == numbers


@given(
    texts=st.lists(st.text("0123456789.,'()+-eE \u00a0", max_size=9), min_size=1, max_size=30),
    name=st.sampled_from(sorted(FORMATS)),
)
def test_arrow_and_duckdb_read_the_same_numbers(texts, name):
    assert in_sql(FORMATS[name], texts) == FORMATS[name].values(pa.array(texts)).to_pylist()
