"""The draft of a data set says what the files tell, asks what they do not, and loads as settings."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from bank_files import aligned_text, korean_card_files, panel_csv, transactions, two_csv_files

from finai_assets.ingest.tables.guess.document import open_questions
from finai_assets.ingest.tables.guess.draft import Draft, draft
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.folders import CONFIG_VARIABLE
from finai_resources.errors import ConfigError


def loaded(made: Draft, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (folder / "datasets").mkdir(parents=True)
    (folder / "datasets" / "mybank.yaml").write_text(made.text, encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(folder))
    return load_settings("mybank", "smoke")


def test_two_csv_files_of_a_bank_become_a_mapping_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = draft("mybank", two_csv_files(tmp_path / "source"))
    content = yaml.safe_load(made.text)
    tables = content["tables"]
    assert {name: kind for name, kind, _ in made.tables} == {"customers": "customers", "transactions": "transactions"}
    assert tables["sources"]["customers"]["delimiter"] == ";"
    assert tables["sources"]["customers"]["missing"] == {"income": ["", "-999999"]}
    assert tables["sources"]["transactions"]["known_from"] == "time_day"
    assert "'%d.%m.%Y'" in tables["sources"]["transactions"]["computed"]["time_day"]
    rows = tables["transactions"]
    assert (rows["customer"], rows["id"], rows["category"]) == ("customer_id", "transaction_id", "category")
    assert rows["debit"] == {"column": "direction", "words": ["debit"], "credit": ["credit"], "sign": "unsigned"}
    assert set(tables["snapshots"]["columns"]) == {"age", "gender", "income", "tenure_months"}
    assert set(tables["categories"]["codes"]) == {"salary", "food"}
    assert content["dataset"]["raw_months"] == ["2015-01", "2016-02"]
    settings = loaded(made, tmp_path / "own", monkeypatch)
    assert settings.dataset.source == str(tmp_path / "source")
    assert "products" in settings.dataset.unavailable_tables


def test_a_panel_with_flags_becomes_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = draft("mybank", [panel_csv(tmp_path / "train.csv")])
    settings = loaded(made, tmp_path / "own", monkeypatch)
    assert settings.tables is not None
    assert settings.tables.snapshots.month is not None
    assert settings.tables.transactions is None
    assert any("Without consents or contacts no product is offered" in question for _, question in made.questions)
    assert {"age", "income", "gender", "tenure_months"} == set(settings.tables.snapshots.columns)
    assert [product.code for product in settings.products] == ["cco_fin", "tjcr_fin", "nomina"]
    assert settings.tables.holdings.flags is not None
    assert settings.tables.holdings.flags.columns["flag(ind_tjcr_fin_ult1)"] == "tjcr_fin"
    assert "transactions" in settings.dataset.unavailable_tables


def test_a_card_systems_payments_are_outflows_and_korean_words_keep_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = draft("mybank", korean_card_files(tmp_path / "source"))
    settings = loaded(made, tmp_path / "own", monkeypatch)
    assert settings.tables is not None
    assert settings.tables.transactions is not None
    assert (settings.tables.transactions.amount, settings.tables.transactions.id) == ("-amount_value", '"승인번호"')
    assert any("the sign is turned" in question for _, question in made.questions)
    assert set(settings.dataset.segments) == {"일반", "우대"}
    assert [(product.code, product.name) for product in settings.products] == [
        ("savings", "Savings"),
        ("deposit", "정기예금"),
        ("deposit_2", "적금"),
    ]
    leaves = yaml.safe_load(made.text)["tables"]["categories"]["codes"]
    assert leaves == {name: {"name": name, "l2": name, "l1": name} for name in ("교육", "여행")}


def test_no_column_of_a_sized_group_is_constant_in_train(tmp_path: Path) -> None:
    content = yaml.safe_load(draft("mybank", korean_card_files(tmp_path)).text)
    groups = content["feature_groups"]
    assert content["dataset"]["snapshot_months"][0] == "2014-07"
    assert groups["txn_lag_tensor"]["transactions"] == 200  # 240 in the year before the end of train
    assert groups["mcc_top30_multihot"]["top"] == 1  # of two categories, so that there is another one


def test_purchases_without_names_get_roles_by_their_values_and_classes_of_amounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = draft("mybank", [aligned_text(tmp_path / "master.txt")])
    settings = loaded(made, tmp_path / "own", monkeypatch)
    assert settings.tables is not None
    assert settings.tables.sources["master"].columns == ("customer_id", "day", "column_3", "amount")
    assert settings.tables.transactions is not None
    assert settings.tables.transactions.customer == "customer_id"
    assert settings.tables.transactions.id is None
    assert settings.tables.categories is not None
    assert len(settings.tables.categories.codes) > 1
    assert "classes of the amount" in settings.dataset.derived["categories"]


def test_every_open_question_is_found_again_by_its_line(tmp_path: Path) -> None:
    made = draft("mybank", [aligned_text(tmp_path / "master.txt")])
    lines = made.text.splitlines()
    assert made.questions == tuple(open_questions(made.text))
    assert any("no header" in question for _, question in made.questions)
    assert any("which currency" in question for _, question in made.questions)
    assert all("# " in lines[line - 1] for line, _ in made.questions)
    assert not any("currency" in q for _, q in draft("b", [tmp_path / "master.txt"], currency="USD").questions)


def test_parquet_folders_and_databases_are_looked_into(tmp_path: Path) -> None:
    names = ["transaction_id", "customer_id", "booking_date", "direction", "amount", "category"]
    columns = dict(zip(names, zip(*transactions(), strict=True), strict=True))
    table = pa.table({name: list(values) for name, values in columns.items()})
    (tmp_path / "moves.parquet").mkdir()
    pq.write_table(table.slice(0, 50), tmp_path / "moves.parquet" / "part-0.parquet")
    pq.write_table(table.slice(50), tmp_path / "moves.parquet" / "part-1.parquet")
    with closing(sqlite3.connect(tmp_path / "bank.db")) as database:
        database.execute("CREATE TABLE moves (transaction_id, customer_id, booking_date, direction, amount, category)")
        database.executemany("INSERT INTO moves VALUES (?, ?, ?, ?, ?, ?)", list(transactions()))
        database.commit()
    with duckdb.connect(str(tmp_path / "bank.duckdb")) as connection:
        connection.register("given", table)
        connection.execute("CREATE TABLE moves AS SELECT * FROM given")
    for file, key in (("moves.parquet", "path"), ("bank.db", "url"), ("bank.duckdb", "url")):
        made = draft("mybank", [tmp_path / file])
        content = yaml.safe_load(made.text)
        assert made.tables == (("moves", "transactions", table.num_rows),), file
        assert key in content["tables"]["sources"]["moves"]
        assert content["tables"]["transactions"]["id"] == "transaction_id"


def test_a_table_without_the_customer_reaches_it_through_another(tmp_path: Path) -> None:
    two_csv_files(tmp_path)
    cards = [f"{at},D{at},{'gold' if at % 2 else 'classic'},2015-0{at + 1}-10" for at in range(4)]
    (tmp_path / "card.csv").write_text("card_id,disp_id,type,issued\n" + "\n".join(cards) + "\n", encoding="utf-8")
    owners = [f"D{at},C{at:03d}" for at in range(5)]
    (tmp_path / "disp.csv").write_text("disp_id,customer_id\n" + "\n".join(owners) + "\n", encoding="utf-8")
    content = yaml.safe_load(draft("mybank", [tmp_path]).text)
    assert "JOIN disp USING (disp_id)" in content["tables"]["queries"]["card_of_customer"]
    rows = content["tables"]["holdings"]["rows"]
    assert rows[0]["words"] == {"classic": "classic_card", "gold": "gold_card"}
    assert content["acquisition_sets"] == {"payments": ["classic_card", "gold_card"]}


def test_files_that_tell_nothing_by_customer_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("city,rate\nBrno,1.5\nPraha,2.5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="rates: city, rate"):
        draft("mybank", [tmp_path / "rates.csv"])


def test_too_few_months_are_refused_with_the_months_that_are_there(tmp_path: Path) -> None:
    lines = ["customer_id,date,amount", *(f"{at},2015-01-{at + 1:02d},{at}.5" for at in range(20)), "1,2015-02-01,3.5"]
    (tmp_path / "moves.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"2015-01\.\.2015-02"):
        draft("mybank", [tmp_path / "moves.csv"])


@pytest.mark.parametrize("name", ["gone.csv", "picture.bin"])
def test_a_file_that_is_not_there_or_no_table_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "picture.bin").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(ConfigError, match=name):
        draft("mybank", [tmp_path / name])


def test_identifiers_that_are_written_in_two_ways_are_asked_and_not_joined(tmp_path: Path) -> None:
    customers, moves = two_csv_files(tmp_path)
    text = customers.read_text(encoding="utf-8")
    customers.write_text(text.replace("C00", ""), encoding="utf-8")
    made = draft("mybank", [customers, moves])
    assert any(
        "its customer_id has values such as '0', that of transactions such as 'C000'" in q for _, q in made.questions
    )
    assert yaml.safe_load(made.text)["tables"]["snapshots"]["from"] == "first_seen"
