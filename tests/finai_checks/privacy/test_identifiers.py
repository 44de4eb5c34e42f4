"""What names a person is found wherever it stands; what only looks like numbers is let pass."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_checks.privacy.identifier_scan import denied_names, find_in_text, luhn, masked, scan_json, scan_texts


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("주민번호 900101-1234567", "national id"),
        ("9912312234567", "national id"),
        ("card 4111-1111-1111-1111.", "card number"),
        ("378282246310005", "card number"),
        ("010-1234-5678", "phone number"),
        ("02-123-4567", "phone number"),
        ("+82 2 123 4567", "phone number"),
        ("a.b+c@mail.example.com", "e-mail address"),
    ],
)
def test_each_kind_of_identifier_is_told_by_its_name(text: str, what: str) -> None:
    assert what in [found for found, _ in find_in_text(text)]


@pytest.mark.parametrize(
    "text",
    [
        "901301-1234567",  # there is no month 13
        "900101-9234567",  # no one has the digit 9
        "4111111111111112",  # not its check digit
        "0000000000000000",
        "12900101-12345678",
        "2016-05-01T12:30:45",
        "1,234,567,890.12",
        "user at example.com",
        "3.14159265358979",
    ],
)
def test_numbers_that_only_resemble_one_are_let_pass(text: str) -> None:
    assert list(find_in_text(text)) == []


@given(st.integers(min_value=10**11, max_value=10**18 - 1))
def test_exactly_one_check_digit_makes_a_number_pass(number: int) -> None:
    assert sum(luhn(f"{number}{digit}") for digit in range(10)) == 1


@given(st.text())
def test_a_mask_keeps_the_first_character_alone(text: str) -> None:
    hidden = masked(text)
    assert len(hidden) == len(text)
    assert not any(character.isdigit() or character.isalpha() for character in hidden[1:])


def test_a_column_is_searched_by_its_distinct_values_and_a_dictionary_likewise() -> None:
    texts = pa.array(["mass"] * 1000 + ["010-1234-5678", "010-1234-5678", "010-1234-9999"])
    for column in (texts, texts.dictionary_encode(), pa.chunked_array([texts[:500], texts[500:]])):
        (found,) = scan_texts("raw/x.y", column)
        assert (found.place, found.what, found.values) == ("raw/x.y", "phone number", 2)
        assert found.masked == "0**-****-****"


def test_nested_texts_of_json_are_searched_and_keys_are_not() -> None:
    assert scan_json("card", {"name": ["x", {"note": "plain"}], "count": 12345678901}) == []
    (found,) = scan_json("card", {"a": [{"b": "mail kim@example.org"}]})
    assert found.what == "e-mail address"


def test_the_deny_list_matches_whole_names_of_any_case() -> None:
    assert denied_names(["Customer_Phone", "telephone_days", "held_mobile", "age"], ["*phone*", "age_*"]) == [
        "Customer_Phone",
        "telephone_days",
    ]
    assert denied_names(["name"], []) == []
