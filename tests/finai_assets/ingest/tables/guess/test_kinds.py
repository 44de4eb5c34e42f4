"""What a column's values are is told by all of them, and what they leave open is asked."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.tables.guess.kinds import kind_of, parses

DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31))


@pytest.mark.parametrize(
    ("values", "name", "form"),
    [
        (["2015-01-28", "2015-02-28"], "date", "%Y-%m-%d"),
        (["31.12.2015", "01.02.2015"], "date", "%d.%m.%Y"),
        (["12/31/2015", "01/02/2015"], "date", "%m/%d/%Y"),
        (["20150128", "20150231"], "number", None),  # the second is no day
        (["20150128", "20151231"], "date", "%Y%m%d"),
        (["201501", "201512"], "date", "%Y%m"),
        (["930101 00:00:00", "980929 00:00:00"], "date", "%y%m%d %H:%M:%S"),
        (["2015-01-28T10:00:00", "2015-01-28T23:59:59"], "date", "%Y-%m-%dT%H:%M:%S"),
        (["0", "1"], "flag", None),
        (["Y", "N"], "flag", None),
        (["A1", "B2"], "text", None),
        (["NULL", "n/a"], "empty", None),
    ],
)
def test_the_kind_is_that_of_every_value(values: list[str], name: str, form: str | None) -> None:
    kind = kind_of(values)
    assert (kind.name, kind.format) == (name, form)


@pytest.mark.parametrize(
    ("values", "decimal", "thousands"),
    [
        ([".50", "-3", "1e3"], ".", None),
        (["12,50", "3"], ",", None),
        (["1.234,50", "7"], ",", "."),
        (["1,234.50", "7"], ".", ","),
        (["1,234,567", "7"], ".", ","),
    ],
)
def test_the_signs_of_numbers_are_told_from_the_numbers(values: list[str], decimal: str, thousands: str | None) -> None:
    kind = kind_of(values)
    assert (kind.name, kind.decimal, kind.thousands, kind.question) == ("number", decimal, thousands, "")


def test_a_comma_that_may_be_of_either_kind_is_asked() -> None:
    assert "decimal comma" in kind_of(["1,234", "7"]).question


def test_a_day_and_a_month_that_may_be_exchanged_are_asked() -> None:
    assert "could also be %m/%d/%Y" in kind_of(["01/02/2015", "03/04/2015"]).question
    assert kind_of(["01/02/2015", "13/04/2015"]).question == ""


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        (["1500.5", "-999999", "20"], ("-999999",)),
        (["23", "NA", "35"], ("NA",)),
        (["-1", "3", "900"], ("-1",)),
        (["-1", "-3", "9"], ()),  # among negative amounts it is one
        (["9999", "9998", "12000"], ()),
        (["20150128", "99991231"], ("99991231",)),
        (["2015-01-28", "0000-00-00"], ("0000-00-00",)),
    ],
)
def test_texts_and_marks_that_mean_missing_are_told(values: list[str], marks: tuple[str, ...]) -> None:
    assert kind_of(values).missing == marks


@given(
    st.lists(DAYS, min_size=1, max_size=20), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%d/%m/%Y", "%Y/%m/%d"])
)
def test_days_in_any_format_are_read_as_themselves_or_asked(days: list[date], form: str) -> None:
    kind = kind_of(dict.fromkeys(f"{day:{form}}" for day in days))
    assert kind.name == "date"
    assert kind.format == form or kind.question or form == "%d/%m/%Y"
    assert all(parses(f"{day:{form}}", kind.format or "") for day in days)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20))
def test_integers_are_never_read_as_fractions_or_text(values: list[int]) -> None:
    kind = kind_of(dict.fromkeys(map(str, values)))
    assert kind.name in {"number", "date", "flag"}
    assert kind.name == "date" or kind.whole
