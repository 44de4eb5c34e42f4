"""Values become JSON that every reader takes; the bytes are those that the options ask for."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from finai_resources.json_text import number, plain, remembered, to_json


def test_what_is_not_finite_becomes_null_wherever_it_stands() -> None:
    value = {"a": float("nan"), "b": [1.5, float("inf")], "c": (np.float32("-inf"), {"d": np.float64("nan")})}
    assert plain(value) == {"a": None, "b": [1.5, None], "c": [None, {"d": None}]}


def test_numpy_scalars_and_arrays_become_plain_numbers() -> None:
    found = plain({3: np.int64(7), "x": np.array([[0.5, np.nan]], np.float32), "yes": np.bool_(True)})
    assert found == {"3": 7, "x": [[0.5, None]], "yes": True}
    assert type(found["3"]) is int
    assert type(found["x"][0][0]) is float
    assert type(found["yes"]) is bool


def test_other_values_become_text_a_set_a_sorted_list_and_any_mapping_an_object() -> None:
    assert plain(MappingProxyType({"on": date(2024, 1, 31)})) == {"on": "2024-01-31"}
    assert plain({"b", "a", "c"}) == ["a", "b", "c"]


def test_a_number_is_rounded_as_python_rounds() -> None:
    assert number(np.float64(2.675), 2) == round(2.675, 2)
    assert number(float("inf"), 2) is None
    assert type(number(np.float32(0.1))) is float


def test_the_bytes_are_those_of_the_options() -> None:
    value = {"b": "가", "a": [1]}
    assert to_json(value) == '{"b": "가", "a": [1]}'.encode()
    assert to_json(value, sort_keys=True, indent=1) == '{\n "a": [\n  1\n ],\n "b": "가"\n}'.encode()
    assert to_json(value, ensure_ascii=True) == json.dumps(value).encode()


def test_a_file_that_other_readers_would_refuse_is_not_made() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"a": float("nan")})
    assert to_json(plain({"a": float("nan")})) == b'{"a": null}'


@pytest.mark.parametrize("damaged", [b"", b"{", b"[1]", b"5", b"null", b"\xff\xfe", b'{"a": 1'])
def test_a_damaged_file_of_remembered_values_holds_nothing(tmp_path: Path, damaged: bytes) -> None:
    file = tmp_path / "values.json"
    assert remembered(file) == {}
    file.write_bytes(damaged)
    assert remembered(file) == {}
    file.write_bytes(to_json({"a": 1}))
    assert remembered(file) == {"a": 1}
