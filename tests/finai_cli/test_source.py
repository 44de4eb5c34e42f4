"""``finai source check``: exit codes, 80 columns, nothing written; and what files of banks can be like, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from finai_assets.ingest.findings import Finding
from finai_assets.ingest.source_check import SourceReport
from finai_assets.settings.folders import CONFIG_VARIABLE
from finai_cli.main import app
from finai_cli.source import findings_table

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "data" / "cases"
REFUSED = {  # case -> rule, column, rows (None where the finding counts none)
    "01_delivered_twice": ("transactions with the same id", "trans_id", 6),
    "02_signed_amounts": ("the sign of the amount contradicts the word", "signed", 6),
    "04_other_english_words": ("unknown word", "operation", 90),
    "06_column_twice": ("column occurs twice", "date", None),
    "07_brackets": ("that is not there", "account_id", None),
    "14_struct_amount": ("STRUCT", "amount", None),
    "15_district_twice": ("duplicate key", "A1", None),
}
LOADS = ("00_base", "05_parquet_timestamps", "10_ids_of_19_digits", "12_leading_point", "13_spark_folder")


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("FINAI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv(CONFIG_VARIABLE, "")
    return CliRunner()


def case(name: str) -> str:
    if not (CASES / name).is_dir():
        pytest.skip("the folders of cases are not at hand")
    return str(CASES / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_case_that_has_to_be_refused_is_a_finding_with_its_column(runner: CliRunner, name: str) -> None:
    ended = runner.invoke(app, ["source", "check", "-d", "berka", "--source", case(name), "--sample", "2", "--json"])
    assert ended.exit_code == 1, ended.output
    told = json.loads(ended.stdout)
    rule, column, rows = REFUSED[name]
    fitting = [
        finding
        for finding in told["findings"]
        if rule in finding["rule"] and column in finding["column"] and rows in {None, finding["rows"]}
    ]
    assert fitting, told["findings"]
    assert all(finding["fix"] for finding in told["findings"])


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADS)
def test_a_case_that_has_to_load_has_the_values_of_the_base(runner: CliRunner, name: str) -> None:
    ended = runner.invoke(app, ["source", "check", "-d", "berka", "--source", case(name), "--sample", "2", "--json"])
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert told["rows"]["transactions"] == {"1993-01": 6, "1994-03": 6}
    assert told["months"] == ["1993-01", "1994-03"]


@pytest.mark.slow
def test_nothing_is_written_whatever_is_found(runner: CliRunner, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(case("00_base")).iterdir()}
    runner.invoke(app, ["source", "check", "-d", "berka", "--source", case("00_base"), "--sample", "1"])
    assert {path: path.stat().st_mtime_ns for path in Path(case("00_base")).iterdir()} == before
    assert not (tmp_path / "home").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("-d", "berka", "--source", "/nowhere"),
        ("-d", "brka"),
        ("-d", "berka", "--sample", "0"),
        ("-d", "berka", "--nonsense"),
    ],
)
def test_a_wrong_argument_is_exit_code_2(runner: CliRunner, arguments: tuple[str, ...]) -> None:
    assert runner.invoke(app, ["source", "check", *arguments]).exit_code == 2


def test_the_table_of_findings_fits_80_columns_and_loses_nothing_that_a_file_holds() -> None:
    long = "a_column_with_quite_a_long_name_of_forty_or_more"
    finding = Finding(
        "refused", "wrong value [/bold]\x1b[31m", "/some/where/" + "x" * 40 + ".csv", long, 1_234_567, 0.123,
        ("(row 1: [red]x)", "(row 2: y)", "(row 3: z)"), "correct it at the source",
    )  # fmt: skip
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(findings_table([finding]))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    joined = "".join(line.replace(" ", "") for line in text.splitlines())
    for whole in ("[/bold]", "\\x1b[31m", "[red]x", "1,234,567", "12.30%"):
        assert whole in joined
    assert "…" not in text


def test_a_report_is_refused_by_one_finding_and_not_by_notes() -> None:
    note = Finding("note", "a", "b", "c", None, None, (), "")
    refused = Finding("refused", "a", "b", "c", 1, None, (), "")
    assert not SourceReport([note]).refused
    assert SourceReport([note, refused]).refused
