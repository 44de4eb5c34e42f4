"""What a machine wrote is known by its whole form; what only begins or ends like it stays."""

from __future__ import annotations

import base64
import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_checks.privacy.machine_text import GONE, without_machine_text

NATIONAL_ID = "9001011234567"
CARD = "4111111111111111"
# 13, 16 and 11 digits in a row, as a national id, a card and a telephone number have.
SHA256 = f"a3{NATIONAL_ID}e7{CARD}c0{'01012345678'}f1" + "d4e5" * 4


@pytest.mark.parametrize(
    "text",
    [
        SHA256,
        SHA256.upper(),
        f"0x{SHA256}",
        SHA256[:40],  # a commit
        SHA256[:32],  # a bundle's id
        f"4a{NATIONAL_ID}f",  # 64 bits, as a key's id
        "01012345-6789-4123-8900-900101123458",
        "1A2B3C4D-0101-4234-9678-01012345678F",
        "qL9001011234567xTfYb3kRmW2sVhA8uJ5dPcZ0eNgI=",
        "aQ-9kX_w3+821012345678Zp7Rb2LmT4yHc6VsD1nKfGjE",
        f"0.{CARD}",
        f"-12.{NATIONAL_ID}",
        f"3.{CARD}e-05",
        f"{NATIONAL_ID}.25",
        "4e+15",
        "2015-01-31",
        "2015-01",
    ],
)
def test_a_machines_run_goes_and_what_stands_beside_it_stays(text: str) -> None:
    assert without_machine_text(text) == GONE
    for before, after in (("x: ", ", y"), ("(", ")"), ("번호", "입니다"), (f"{NATIONAL_ID}, ", f" {CARD}")):
        assert without_machine_text(f"{before}{text}{after}") == f"{before}{GONE}{after}"


@pytest.mark.parametrize(
    "text",
    [
        NATIONAL_ID,
        "900101-1234567",
        f"id{NATIONAL_ID}",
        f"acc{NATIONAL_ID}",  # 16 hexadecimal digits, but no letter between digits
        f"{NATIONAL_ID}abc",
        f"a{CARD}b2",  # 19 of them are no whole words of 32 bits
        CARD,
        "1" * 64,
        f"Ab1Cd2Ef3Gh4Ij5Kl6/{CARD}/Mn7Op8",  # a part of a path is a number
        "Ab1Cd2Ef3Gh4Ij5Kl6-010-1234-5678",
        f"CustomerKimNumber{NATIONAL_ID}x",  # words and a number, though of all three kinds
        f"{NATIONAL_ID}.0",  # how a column of floats writes a whole number
        f"{CARD}.00",
        "1.900101-1234567",  # the first of a list
        f"1.5.{NATIONAL_ID}",
        "2015-01-31-1234567",
        f"5 {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]} 12 27 123",
    ],
)
def test_what_may_name_a_person_stays(text: str) -> None:
    assert without_machine_text(text) == text


@given(st.binary(min_size=32, max_size=32))
def test_every_digest_goes(content: bytes) -> None:
    for name in ("sha1", "sha256", "sha384", "sha512"):
        assert without_machine_text(hashlib.new(name, content).hexdigest()) == GONE


@given(st.uuids())
def test_every_uuid_goes(found: uuid.UUID) -> None:
    assert without_machine_text(f"{found}") == GONE
    assert without_machine_text(f"run {str(found).upper()}.") == f"run {GONE}."


def test_nearly_every_signature_in_base64_goes() -> None:
    signatures = [hashlib.sha512(bytes([k])).digest() for k in range(250)]
    kept = [s for s in signatures if without_machine_text(base64.b64encode(s).decode()) != GONE]
    assert len(kept) <= 10  # those in which a digit stands alone between two of + and /


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: len(repr(x).partition(".")[2]) >= 7))
def test_every_number_with_a_long_fraction_goes(number: float) -> None:
    assert without_machine_text(repr(number)) == GONE


@pytest.mark.parametrize(
    "counts",
    [
        "987 1201 1322 1455 1100 560 870 990 12",
        "2604 2904 3125 2930 3016 3016 3146 3024 2927 3145 2927 2818",  # sizes of trees: four digits each, and no cards
        "-1 2 3 -4 5 6 -7 8 9",
    ],
)
def test_the_numbers_of_a_long_list_are_kept_apart(counts: str) -> None:
    assert without_machine_text(f"counts={counts}") == f"counts={counts.replace(' ', GONE)}"
    assert without_machine_text(f"{counts}\nnext") == f"{counts.replace(' ', GONE)}\nnext"


@pytest.mark.parametrize(
    "text",
    [
        "4012 8888 8888 1881 3566 1111 1111 1113 6011 1111 1111 1117",
        "900101 1234567 910202 2345678 920303 1234567 930404 2345678 940505 1234567",
        "1 2 3 4 5 6 7 8 9 010 1234 5678",  # a number does not begin with 0
        "1 2 3 4 5 6 7 8",
    ],
)
def test_a_list_of_identifiers_and_a_short_list_stay(text: str) -> None:
    assert without_machine_text(text) == text


def test_a_long_number_within_a_list_is_still_looked_at() -> None:
    assert without_machine_text(f"1 2 3 4 5 {CARD} 7 8 9 10") == GONE.join(f"1 2 3 4 5 {CARD} 7 8 9 10".split())
