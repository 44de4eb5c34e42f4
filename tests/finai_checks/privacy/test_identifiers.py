"""What names a person is found wherever it stands; what only looks like numbers is let pass."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_checks.privacy.identifier_scan import denied_names, find_in_text, masked, scan_json, scan_texts
from finai_checks.privacy.luhn import luhn

SHA256 = "9001011234567abc" * 4


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
        ("주민번호900101-1234567입니다", "national id"),
        ("900101 1234567", "national id"),
        ("9001011234567.0", "national id"),
        (f"sha256:{SHA256} 900101-1234567", "national id"),
        (f"{SHA256},4111111111111111", "card number"),
        ("1 4111 1111 1111 1111 12/27", "card number"),
        ("2015-01-31 4111111111111111", "card number"),
        ("3782 822463 10005 7", "card number"),
        ("0.25 4111-1111-1111-1111", "card number"),
        ("call 010-1234-5678.", "phone number"),
        ("1.010-1234-5678 2.02-123-4567", "phone number"),
        ("+82 (10) 1234 5678", "phone number"),
        (f"/{SHA256}/+82 10 1234 5678", "phone number"),
        (f"{SHA256[:32]}@example.com", "e-mail address"),
        (f"kim@{SHA256[:32]}.example.com", "e-mail address"),
        ("_kim_@example.co.kr입니다", "e-mail address"),
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
        "0.4111111111111111",
        "0.9001011234567",
        "[0:0.90010112345670000] 4.1111111111111111e-05",
        "1e+15 1200 1300 1400 1500",
        SHA256,
        SHA256[:40],
        f"models/{SHA256[:32]}.txt",
        "01012345-6789-4123-8900-900101123458",
        "qL9001011234567xTfYb3kRmW2sVhA8uJ5dPcZ0eNgI=",
        "1" * 64,  # identifiers have fewer digits
        "2015-01 2015-02 2015-04",
        "numpy@2.1.0",
        "features/demographics@2015-02",
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


@pytest.mark.parametrize(
    "form",
    [
        r"[0-9]{2}0[1-9]1[0-9][- ]?[1-8][0-9]{6}",
        r"4[0-9]{3}([ -]?[0-9]{4}){3}",
        r"3[0-9]{3}[ -]?[0-9]{6}[ -]?[0-9]{5}",
        r"01[016789][- ]?[0-9]{3,4}[- ]?[0-9]{4}",
        r"0[1-9][0-9]?[- ][0-9]{3,4}[- ][0-9]{4}",
        r"\+[0-9]{1,3}[ -]?\(?[0-9]{1,4}\)?([ -]?[0-9]{2,4}){2,3}",
        r"[A-Za-z0-9._%+-]{1,4}@[a-z0-9-]{1,3}\.[a-z]{2,3}",
    ],
)
def test_the_fast_pass_over_a_column_lets_nothing_through_that_the_search_finds(form: str) -> None:
    @given(st.from_regex(form, fullmatch=True))
    def both(text: str) -> None:
        searched = {what for what, _ in find_in_text(text)}
        assert {finding.what for finding in scan_texts("x", pa.array([text, "plain"]))} == searched

    both()


@pytest.mark.parametrize("text", ["aB3" * 60_000 + "===", "1234567890" * 20_000, "12 " * 60_000])
def test_the_time_for_a_text_grows_with_its_length_alone(text: str) -> None:
    started = time.process_time()
    assert list(find_in_text(text)) == []
    assert (
        time.process_time() - started < 5
    )  # a tenth of it, or a minute if each place were searched to the end of the text


def test_a_column_of_the_bundles_ids_holds_nobody() -> None:
    assert scan_texts("recommendations/customers.bundle_id", pa.array([SHA256[:32], None])) == []


def test_nested_texts_of_json_are_searched_and_keys_are_not() -> None:
    assert scan_json("card", {"name": ["x", {"note": "plain"}], "count": 12345678901}) == []
    (found,) = scan_json("card", {"a": [{"b": "mail kim@example.org"}]})
    assert found.what == "e-mail address"
    (found,) = scan_json("card", {"sha256": SHA256, "note": {"of": ["x", 1, "900101-1234567"]}, "run": SHA256[:40]})
    assert found.what == "national id"


def test_the_deny_list_matches_whole_names_of_any_case() -> None:
    assert denied_names(["Customer_Phone", "telephone_days", "held_mobile", "age"], ["*phone*", "age_*"]) == [
        "Customer_Phone",
        "telephone_days",
    ]
    assert denied_names(["name"], []) == []
