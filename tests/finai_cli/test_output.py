"""What a user's files, paths and values hold is printed as it stands: no text breaks a message, and none is lost."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from finai_cli.display import Lines, display
from finai_cli.output import Terminal, print_error, print_json, styled
from finai_resources.errors import ContractError
from finai_resources.printable import LONGEST_LINE, cut_middle, excerpt, message, printable

ROOT = Path(__file__).resolve().parent.parent.parent
AWKWARD = [
    "[red]",
    "[/]",
    "[TABLE]",
    "[bold red]x[/bold red]",
    "\\[",
    "a\\",
    ":smile:",
    "[link=http://x]y[/link]",
    "[@click=x]",
]
HIDDEN = {
    "\x1b[31mred": "\\x1b[31mred",
    "a\x07b\x08": "a\\x07b\\x08",
    "a\rb": "a\\x0db",
    "\x9b2J": "\\x9b2J",
    "caf\udce9": "caf\\udce9",
    "\u202egnp.exe": "\\u202egnp.exe",
    "\ufeffid": "\\ufeffid",
}


def printed(thing: object, *, width: int = 4000) -> str:
    stream = io.StringIO()
    Terminal(file=stream, width=width, soft_wrap=True).print(thing)
    stream.getvalue().encode()  # a terminal must be able to take it
    return stream.getvalue()


@pytest.mark.parametrize("text", AWKWARD)
def test_what_looks_like_markup_is_printed_as_it_stands(text):
    table = Table(title=f"title {text}", caption=f"caption {text}")
    table.add_column(f"head {text}")
    table.add_row(f"cell {text}")
    assert f"plain {text}\n" == printed(f"plain {text}")
    assert f"done: {text}\n" == printed(styled(("done", "bold green"), f": {text}"))
    whole = printed(table)
    assert all(f"{part} {text}" in whole for part in ("title", "head", "cell", "caption"))


@pytest.mark.parametrize(("text", "shown"), HIDDEN.items())
def test_what_would_move_the_cursor_or_break_the_output_is_written_as_an_escape(text, shown):
    table = Table()
    table.add_column(text)
    table.add_row(styled(text))
    assert printed(f"a {text}") == f"a {shown}\n"
    assert printed(styled((text, "red"))) == f"{shown}\n"
    assert printed(table).count(shown) == 2


@pytest.mark.parametrize("text", [*AWKWARD, *HIDDEN])
def test_an_error_names_path_column_and_value_whatever_they_hold(text, capsys):
    print_error(
        ContractError(f"a value is {text!r} {text}", where=f"/data/{text}.csv, column {text}", fix=f"rename {text}")
    )
    told = capsys.readouterr().err
    assert told.startswith("error ")
    assert told.count(printable(text)) >= 4
    assert "What to do: rename" in told


def test_an_error_with_a_very_long_value_keeps_its_beginning_and_its_end(capsys):
    print_error(ContractError("begin " + "x" * 1_000_000 + " end", where="f.csv", fix="correct it"))
    told = capsys.readouterr().err
    assert len(told) < LONGEST_LINE + 200
    assert "f.csv: begin xxx" in told
    assert "xxx end (1,000,017 characters)" in told
    assert told.endswith("What to do: correct it\n")


def test_progress_shows_a_label_as_it_stands(monkeypatch):
    stream = io.StringIO()
    lines = Lines(Terminal(file=stream), "[/]", 1, 0)
    lines.note("[red]\x1b[2J")
    lines.end()
    assert "[/]: ends, 0/1, 0 s, [red]\\x1b[2J" in stream.getvalue()
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    bars = Terminal(file=io.StringIO(), width=160)
    with display(bars) as show, show("[/] reading", 2, 0) as stage:
        stage.note("[red]odd.csv[/]")
        stage.advance()
    assert bars.is_terminal
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", bars.file.getvalue())
    assert "[/] reading" in shown
    assert "[red]odd.csv[/]" in shown


def test_json_holds_half_characters_as_escapes(capsys):
    print_json({"path": "caf\udce9", "name": "고객"})
    assert json.loads(capsys.readouterr().out) == {"path": "caf\udce9", "name": "고객"}
    print_json({"name": "고객"})
    assert "고객" in capsys.readouterr().out


def test_no_command_prints_past_the_terminal_or_styles_inside_a_text():
    styles = re.compile(r"\[/?(bold|dim|red|green|yellow|cyan|italic)\b[^\]\n]*\]|\[/\]")
    wrong = []
    for path in sorted([*ROOT.glob("finai_cli/*.py"), *ROOT.glob("studies/**/*.py")]):
        if path.name == "output.py":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if re.search(r"(?<![\w.])Console\(", line) or styles.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong, "print by output.Terminal, and style by output.styled:\n" + "\n".join(wrong)


@given(text=st.text(st.characters(exclude_categories=())))
def test_any_text_is_printable_and_what_was_visible_stays(text):
    shown = printable(text)
    shown.encode()
    assert printable(shown) == shown
    assert all(letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cs", "Zl", "Zp"} for letter in shown)
    if all(unicodedata.category(letter)[0] in "LNPS" for letter in text):
        assert shown == text


@given(text=st.text(max_size=400), limit=st.integers(2, 100))
def test_a_text_that_is_cut_keeps_both_ends_and_says_its_length(text, limit):
    short = cut_middle(text, limit)
    if len(text) <= limit:
        assert short == text
    else:
        assert short.startswith(text[: limit // 2])
        assert f"{text[-(limit // 2) :]} ({len(text):,} characters)" in short


def test_an_excerpt_stands_on_one_line_and_a_message_keeps_its_lines():
    assert excerpt("a\nb\tc") == "a\\nb\\tc"
    assert excerpt(b"a\xff") == "b'a\\xff'"
    assert message("one\ntwo\x1b") == "one\ntwo\\x1b"
