"""Columns of fixed width."""

from __future__ import annotations

import pytest

from finai_resources.errors import ConfigError, ContractError

CDNOW = " 00001 20210101  1   11.77\n 00002 20210112  5   77.00\n"
SHAPE = {"format": "fixed_width", "columns": ["id", "date", "n", "amount"], "widths": [6, 9, 3, 8], "header": False}


def test_columns_are_cut_by_their_widths_and_trimmed(tmp_path, read, values):
    (tmp_path / "master.txt").write_text(CDNOW)
    rows = read(path="master.txt", **SHAPE)
    assert values(rows) == [("00001", "20210101", "1", "11.77"), ("00002", "20210112", "5", "77.00")]
    assert (list(rows.schema), rows.notes) == (["id", "date", "n", "amount"], ())


def test_widths_count_characters_of_the_decoded_text(tmp_path, read, values):
    (tmp_path / "names.txt").write_bytes("홍길동  01\r\n김     02\r\n".encode("cp949"))
    shape = {"format": "fixed_width", "columns": ["name", "id"], "widths": [5, 3], "header": False}
    (tmp_path / "short.txt").write_text("홍길동   01\n김\n\n", encoding="utf-8")
    assert values(read(path="short.txt", **shape)) == [("홍길동", "01"), ("김", None)]
    (tmp_path / "long.txt").write_text("ab      01x\n")
    with pytest.raises(ContractError, match=r"1 line is longer than the 8 characters .*\(line 1: 'ab      01x'\)"):
        read(path="long.txt", **shape)
    assert values(read(path="names.txt", encoding="cp949", **shape)) == [("홍길동", "01"), ("김", "02")]


def test_a_header_may_be_cut_too_and_head_and_footer_are_left_out(tmp_path, read, values):
    (tmp_path / "t.txt").write_text("REPORT\nid   amount\n1        .5\n2    12,345\nEND OF REPORT OF THE BANK\n")
    shape = {"format": "fixed_width", "columns": ["id", "amount"], "widths": [5, 6], "skip_rows": 1, "skip_footer": 1}
    assert values(read(path="t.txt", **shape)) == [("1", ".5"), ("2", "12,345")]
    with pytest.raises(ContractError, match=r"line 5: 'END OF REPORT"):
        read(path="t.txt", **{**shape, "skip_footer": 0})


def test_a_last_line_that_may_be_cut_off_is_noted(tmp_path, read, values):
    (tmp_path / "master.txt").write_text(CDNOW[:-4])
    rows = read(path="master.txt", **SHAPE)
    assert values(rows)[-1][-1] == "77"
    assert "the last line (2) has no line end" in rows.notes[0]
    with pytest.raises(ContractError, match="no line end"):
        read(path="master.txt", unterminated="refuse", **SHAPE)


def test_names_and_widths_must_be_as_many(tmp_path, read):
    (tmp_path / "master.txt").write_text(CDNOW)
    with pytest.raises((ConfigError, ValueError), match=r"widths|columns"):
        read(path="master.txt", **{**SHAPE, "widths": [6, 9]})
