"""Berka by YAML alone: a hand-made miniature in both published forms, and the real tables where they are at hand."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.contract import OTHER_MCC
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.pseudonym import pseudonymise
from finai_assets.ingest.tables.adapter import TablesAdapter
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError, ContractError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

KEY = b"a key of a test, not of a bank...."

# Three accounts; 3 has no transactions. Client 1 turns 40 on 1993-02-28; client 2 is a woman (month + 50).
TABLES: dict[str, list[str]] = {
    "account": ["account_id;district_id;frequency;date", '1;5;"POPLATEK MESICNE";930110', '2;5;"POPLATEK TYDNE";930205',
                '3;6;"POPLATEK PO OBRATU";930101'],
    "client": ["client_id;birth_number;district_id", '1;"530228";5', '2;"706213";6', '9;"450204";6'],
    "disp": ["disp_id;client_id;account_id;type", '1;1;1;"OWNER"', '2;2;2;"OWNER"', '3;9;1;"DISPONENT"', '4;9;3;"OWNER"'],
    "card": ["card_id;disp_id;type;issued", '7;2;"gold";"930301 00:00:00"', '8;4;"junior";"930301 00:00:00"'],
    "loan": ["loan_id;account_id;date;amount;duration;payments;status", '5;1;930215;2000;1;2000;"A"'],
    "district": ["A1;A2;A3", '5;"Kolin";"central Bohemia"', '6;"Melnik";"Prague"'],
    "trans": [
        "trans_id;account_id;date;type;operation;amount;balance;k_symbol;bank;account",
        '11;1;930110;"PRIJEM";"VKLAD";1000;1000;"";"";',
        '12;1;930131;"PRIJEM";"";10;1010;"UROK";"";',
        '13;1;930210;"PRIJEM";"PREVOD Z UCTU";40000;41010;"DUCHOD";"AB";123',
        '14;2;930205;"PRIJEM";"VKLAD";800.5;800.5;"";"";',
        '15;1;930215;"VYDAJ";"PREVOD NA UCET";100;40910;"SIPO";"CD";456',
        '16;1;930215;"VYDAJ";"PREVOD NA UCET";200;40710;" ";"CD";457',
        '17;1;930228;"VYBER";"VYBER";50;40660;"";"";',
        '18;2;930301;"VYDAJ";"VYBER KARTOU";300;500.5;"";"";',
        '19;2;930305;"VYDAJ";"PREVOD NA UCET";5;495.5;"POJISTNE";"CD";458',
        '20;1;930306;"VYDAJ";"VYBER";15;40645;"SLUZBY";"";',
        '21;1;930307;"VYDAJ";"PREVOD NA UCET";45;40600;"UVER";"CD";459',
        '22;2;930308;"VYDAJ";"VYBER";3;492.5;"SANKC. UROK";"";',
        '23;2;930309;"VYDAJ";"VYBER";9;483.5;"SIPO";"";',
        '24;2;930310;"PRIJEM";"PREVOD Z UCTU";9;492.5;"";"AB";777',
    ],
}  # fmt: skip
ENGLISH = {
    "PRIJEM": "credit", "VYDAJ": "debit", "VKLAD": "deposit", "PREVOD Z UCTU": "collection_from_another_bank",
    "PREVOD NA UCET": "transer_to_another_bank", "VYBER KARTOU": "credit_card_withdrawal", "UROK": "interest_pmt",
    "SLUZBY": "service", "SIPO": "household", "DUCHOD": "pension", "POJISTNE": "insurrance_pmt", "UVER": "loan_pmt",
    "SANKC. UROK": "interest_for_negetive_balance", " ": "", "": "",
}  # fmt: skip


def write_czech(folder: Path, suffix: str = ".asc") -> Path:
    for name, lines in TABLES.items():
        (folder / f"{name}{suffix}").write_text("\n".join(lines) + "\n")
    return folder


def cells(name: str) -> list[dict[str, str]]:
    head, *body = TABLES[name]
    return [dict(zip(head.split(";"), (cell.strip('"') for cell in line.split(";")), strict=True)) for line in body]


def write_parquet(folder: Path, *, translated: bool) -> Path:
    whole = {
        "account_id",
        "client_id",
        "disp_id",
        "district_id",
        "date",
        "duration",
        "A1",
        "loan_id",
        "card_id",
        "trans_id",
    }
    for name in TABLES:
        rows: list[dict[str, object]] = [
            {key: int(value) if key in whole else value for key, value in row.items()} for row in cells(name)
        ]
        if name == "trans":
            rows = [{**row, "amount": float(str(row["amount"]))} for row in rows]
            if translated:
                rows = [english(row) for row in rows]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


def english(row: dict[str, object]) -> dict[str, object]:
    day = str(row["date"])
    operation = "interest_pmt" if row["k_symbol"] == "UROK" else ENGLISH.get(str(row["operation"]), "withdraw_cash")
    return {
        "account_id": f"A{int(str(row['account_id'])):010d}",
        "date": f"19{day[:2]}-{day[2:4]}-{day[4:]}",
        "type": ENGLISH.get(str(row["type"]), "cash_withdraw"),
        "operation": operation,
        "amount": row["amount"],
        "k_symbol": ENGLISH[str(row["k_symbol"])],
    }


def chosen(folder: Path, **dataset: object) -> Settings:
    return load_settings("berka", "demo", overrides={"dataset": {"source": str(folder), **dataset}})


def tables(adapter: TablesAdapter, key: str) -> dict[str, pa.Table]:
    month = adapter.month(Month.parse(key))
    return {
        name: pa.concat_tables([piece.table for piece in getattr(month, name)])
        for name in ("snapshots", "transactions", "protected")
    }


def by_account(table: pa.Table) -> dict[int, dict[str, object]]:
    tokens = dict(zip(pseudonymise(["1", "2", "3"], KEY).tolist(), (1, 2, 3), strict=True))
    return {tokens[row["customer_id"]]: row for row in table.to_pylist()}


@pytest.fixture(params=["czech csv", "czech parquet", "translated parquet"])
def miniature(request, tmp_path) -> TablesAdapter:
    if request.param == "czech csv":
        folder = write_czech(tmp_path)
    else:
        folder = write_parquet(tmp_path, translated=request.param == "translated parquet")
    return TablesAdapter(chosen(folder), KEY)


def balances(adapter: TablesAdapter, key: str) -> dict[str, float]:
    return dict(adapter.views(Month.parse(key)).db.execute("SELECT number, mean FROM balances").fetchall())


def codes(adapter: TablesAdapter, row: dict[str, object]) -> list[str]:
    return [adapter.settings.products[i].code for i in row["held"]]


def test_every_published_form_gives_the_hand_checked_snapshots(miniature):
    january = by_account(tables(miniature, "1993-01")["snapshots"])
    assert list(january) == [1]
    balance = {key: balances(miniature, key) for key in ("1993-01", "1993-02")}
    # January: 1000 from the 10th on and 1010 on the 31st. February: 9 days 1010, 5 x 41010, 13 x 40710, 1 x 40660.
    assert balance["1993-01"] == {"1": pytest.approx((21 * 1000 + 1010) / 22)}
    assert balance["1993-02"]["1"] == pytest.approx((9 * 1010 + 5 * 41010 + 13 * 40710 + 40660) / 28)
    assert (january[1]["age"], january[1]["tenure_months"], january[1]["gender"]) == (39, 0, "male")
    assert january[1]["segment"] == "under_10k"
    assert codes(miniature, january[1]) == ["monthly_statement"]

    february = by_account(tables(miniature, "1993-02")["snapshots"])
    assert february[1]["segment"] == "25k_to_40k"
    assert (february[1]["age"], february[2]["age"], february[2]["gender"]) == (40, 22, "female")
    assert codes(miniature, february[1]) == [
        "monthly_statement", "household_payment", "transfer_out", "pension_receipt", "loan",
    ]  # fmt: skip
    assert codes(miniature, february[2]) == ["weekly_statement"]

    march = by_account(tables(miniature, "1993-03")["snapshots"])
    assert codes(miniature, march[1]) == ["monthly_statement", "household_payment", "transfer_out", "pension_receipt"]
    assert codes(miniature, march[2]) == ["weekly_statement", "household_payment", "insurance_payment", "gold_card"]
    assert march[1]["segment"] == "from_40k"
    for name in ("income", "is_active", "country", "channel"):
        assert march[1][name] is None


def test_every_published_form_gives_the_hand_checked_transactions(miniature):
    february = tables(miniature, "1993-02")["transactions"]
    of_first = [row for row in february.to_pylist() if row["customer_id"] == pseudonymise(["1"], KEY)[0]]
    assert [(row["ts"], row["amount"], row["mcc"], row["merchant_id"]) for row in of_first] == [
        (datetime(1993, 2, 10), 40000.0, 6, None),
        (datetime(1993, 2, 15), -100.0, 8, None),
        (datetime(1993, 2, 15), -200.0, 7, None),
        (datetime(1993, 2, 28), -50.0, 2, None),
    ]
    march = tables(miniature, "1993-03")["transactions"]
    seen = {*february["mcc"].to_pylist(), *march["mcc"].to_pylist(), 11}
    assert seen == set(range(1, 14))
    protected = by_account(tables(miniature, "1993-03")["protected"])
    assert protected[1] == protected[1] | {"gender": "male", "age_band": "30-44", "region": "central Bohemia"}
    assert protected[2] == protected[2] | {"gender": "female", "age_band": "under 30", "region": "Prague"}


def test_the_published_forms_are_bit_equal(tmp_path):
    adapters = []
    for name in ("asc", "csv", "parquet", "translated"):
        (folder := tmp_path / name).mkdir()
        if name in ("asc", "csv"):
            write_czech(folder, f".{name}")
        else:
            write_parquet(folder, translated=name == "translated")
        adapters.append(TablesAdapter(chosen(folder), KEY))
    for key in ("1993-01", "1993-02", "1993-03"):
        first, *others = [tables(adapter, key) for adapter in adapters]
        for other in others:
            assert all(first[name].equals(other[name]) for name in first)


def spoil(folder: Path, name: str, line: int, old: str, new: str) -> Path:
    path = write_czech(folder) / f"{name}.asc"
    lines = path.read_text().splitlines()
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    path.write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize(
    ("name", "line", "old", "new", "told"),
    [
        ("trans", 1, "930110", "930132", r"trans.asc, column date: .*Could not parse.*: 1 row.*\(row 1: date='930132'\)"),
        ("trans", 2, "930131", "31.1.93", r"trans.asc, column date: .*Could not parse.*: 1 row.*row 2"),
        ("trans", 3, "PRIJEM", "PRIJMY", r"trans.asc, column amount, type: .*unknown word 'PRIJMY'.*: 1 row.*row 3"),
        ("trans", 4, ";800.5;", ";8oo;", r"trans.asc, column amount, type: .*'8oo' is not a number: 1 row.*amount='8oo'"),
        ("trans", 4, ";800.5;", ";;", r"trans.asc, column signed: .*null in a required column: 1 row.*row 4"),
        ("trans", 5, ";1;", ";77;", r"trans.asc, column number: transaction of a customer who is not in .*: 1 row.*'77'"),
        ("account", 2, "TYDNE", "ROCNE", r"account.asc, column frequency: unknown word for a product.*POPLATEK ROCNE"),
        ("account", 3, "3;6", "2;6", r"account.asc, column number: duplicate key: 1 row.*number='2'"),
        ("client", 2, "706213", "706313", r"client.asc, column .*: .*Could not parse string \"19701313\".*: 1 row.*row 2"),
        ("card", 1, ";2;", ";99;", r"card.asc, column disp_id: a value that disp.disp_id does not have: 1 row.*'99'"),
        ("card", 1, "gold", "platinum", r"card.asc.*column type: unknown word for a product.*platinum"),
        ("disp", 3, "DISPONENT", "OWNER", r"disp.asc, column owner_of: duplicate key: 1 row.*owner_of='1'"),
        ("loan", 0, "duration", "months", r"loan.asc, column duration: .*not there"),
    ],
)  # fmt: skip
def test_a_bad_source_value_is_refused_with_file_column_rule_and_row(tmp_path, name, line, old, new, told):
    adapter = TablesAdapter(chosen(spoil(tmp_path, name, line, old, new)), KEY)
    with pytest.raises(ContractError, match=told):
        for month in adapter.months():
            tables(adapter, month.key)


def test_an_unknown_pair_of_operation_and_purpose_follows_the_policy(tmp_path):
    folder = spoil(tmp_path, "trans", 9, "POJISTNE", "DUCHOD")
    strict = load_settings(
        "berka", overrides={"dataset": {"source": str(folder)}, "tables": {"categories": {"unknown": "error"}}}
    )
    with pytest.raises(ContractError, match=r"column purpose: unknown category: 1 row.*transfer/pension(.|\n)*unknown: other"):
        TablesAdapter(strict, KEY).month(Month.parse("1993-03"))
    march = TablesAdapter(chosen(folder), KEY).month(Month.parse("1993-03"))
    codes = pa.concat_tables([piece.table for piece in march.transactions])["mcc"].to_pylist()
    assert codes.count(OTHER_MCC) == 1
    assert march.figures["transactions"]["share_of_unknown_categories"] == round(1 / len(codes), 6)


def test_no_source_folder_is_an_error_that_says_how_to_name_one(lake):
    with pytest.raises(ConfigError, match=r"--source FOLDER.*FINAI_SOURCE"):
        open_adapter(load_settings("berka", "demo"), KEY, LakeSession(lake)).months()


def cut(source: Path, target: Path, cutoff: datetime) -> Path:
    """Copy the tables without any row that is dated at or after the cutoff."""
    target.mkdir()
    limit = int(cutoff.strftime("%y%m%d"))
    for name, column in (("account", "date"), ("loan", "date"), ("card", "issued"), ("trans", "date")):
        table = pq.read_table(source / f"{name}.parquet")
        days = [str(value)[:10].replace("-", "") for value in table[column].to_pylist()]
        early = [int((day[2:] if len(day) == 8 else day)[:6]) < limit for day in (d.split(" ")[0] for d in days)]
        pq.write_table(table.filter(pa.array(early)), target / f"{name}.parquet")
    for name in ("client", "disp", "district"):
        shutil.copy(source / f"{name}.parquet", target / f"{name}.parquet")
    return target


@pytest.mark.berka
def test_a_snapshot_does_not_change_when_the_future_is_cut_away(berka_dir, tmp_path):
    whole = TablesAdapter(chosen(berka_dir), KEY)
    for key in ("1993-02", "1993-08", "1994-01"):
        month = Month.parse(key)
        replayed = TablesAdapter(chosen(cut(berka_dir, tmp_path / key, month.cutoff)), KEY)
        stored = tables(whole, key)
        for name, table in tables(replayed, key).items():
            assert table.equals(stored[name]), (key, name)


@pytest.mark.berka
def test_the_real_tables_keep_the_contract_in_every_month(berka_dir, lake):
    settings = chosen(berka_dir)
    session = LakeSession(lake)
    adapter = open_adapter(settings, KEY, session)
    load_catalogue(adapter, session, settings, code_version="1")
    figures = {
        month.key: load_month(adapter, session, month, settings, code_version="1")
        for month in settings.dataset.raw_months
    }
    rows = {key: (value["raw/snapshots"]["rows"], value["raw/transactions"]["rows"]) for key, value in figures.items()}
    assert len(rows) == 15
    assert rows["1993-01"] == (96, 177)
    assert rows["1994-01"] == (1163, 9139)
    assert rows["1994-03"] == (1229, 6255)
    # The 23 accounts opened in 1994-04, which is not a full month, are the rest of the 1,252.
    seen = set().union(*(lake.read("raw/transactions", key)["mcc"].to_pylist() for key in rows))
    assert seen == set(range(1, 14))
    assert lake.read("raw/merchant_categories").num_rows == 14  # the thirteen, and the leaf for unknown pairs
    manifest = lake.manifest("raw/transactions", "1993-01")
    assert set(manifest.extra["source_files"]) == {
        f"{name}.parquet" for name in ("account", "card", "client", "disp", "district", "loan", "trans")
    }


@pytest.mark.berka
def test_holdings_acquisitions_and_segments_of_the_real_tables_are_the_hand_checked_ones(berka_dir):
    adapter = TablesAdapter(chosen(berka_dir), KEY)
    ids = adapter.settings.product_ids
    before, after = (
        {row["customer_id"]: set(row["held"]) for row in tables(adapter, key)["snapshots"].to_pylist()}
        for key in ("1993-12", "1994-01")
    )
    new = [product for customer in before for product in after[customer] - before[customer]]
    counts = {code: new.count(ids[code]) for code in ("household_payment", "pension_receipt", "loan", "classic_card")}
    assert counts == {"household_payment": 77, "pension_receipt": 22, "loan": 6, "classic_card": 1}
    assert not any(before[customer] - after[customer] for customer in before)

    # Account 1787 took a loan of 12 months on 1993-07-05: held from 1993-07 to 1994-06, after the excerpt's last month.
    (token,) = pseudonymise(["1787"], KEY).tolist()
    for key, has in (("1993-06", False), ("1993-07", True), ("1994-03", True)):
        snapshots = tables(adapter, key)["snapshots"]
        (held,) = snapshots.filter(pc.field("customer_id") == token)["held"].to_pylist()
        assert (ids["loan"] in held) is has, key

    segment = {key: tables(adapter, key)["snapshots"]["segment"].to_pylist() for key in ("1993-08", "1994-02")}
    assert [segment["1993-08"].count(name) for name in adapter.settings.dataset.segments] == [127, 216, 202, 210]
    assert [segment["1994-02"].count(name) for name in adapter.settings.dataset.segments] == [65, 474, 365, 293]


@pytest.mark.berka
def test_the_running_balance_agrees_with_the_published_one_to_rounding(berka_dir):
    adapter = TablesAdapter(chosen(berka_dir), KEY)
    # The published balance of the account's last day that is nearest to the sum: rows of a day have no time.
    gaps = adapter.views(None).db.execute(
        "SELECT min(abs(total - balance)) FROM trans JOIN (SELECT number, sum(signed) AS total, max(day) AS day FROM trans "
        "GROUP BY number) USING (number, day) GROUP BY number"
    ).fetchall()
    assert len(gaps) == 1252
    assert max(gap for (gap,) in gaps) <= 20  # amounts are cut to whole crowns, balances come from exact ones


@pytest.mark.berka
def test_the_lake_has_the_same_bytes_whenever_it_is_filled(berka_dir, tmp_path):
    settings = chosen(berka_dir)
    hashes = []
    for name in ("a", "b"):
        lake = Lake.on_disk(tmp_path / name)
        session = LakeSession(lake)
        load_month(open_adapter(settings, KEY, session), session, Month.parse("1993-06"), settings, code_version="1")
        hashes.append(lake.manifest("raw/transactions", "1993-06").content_hash)
    assert hashes[0] == hashes[1]


def test_declared_products_sets_and_tasks_agree_with_the_tables():
    from finai_assets.features.registry import build_registry
    from finai_assets.labels.tasks import available, build_tasks

    for profile in ("demo", "smoke"):
        settings = load_settings("berka", profile)
        assert [task.name for task in available(build_tasks(settings))] == [
            "product_stability", "nba_primary", "cross_sell_count", "will_acquire_payments", "next_mcc",
            "mcc_diversity_trend", "top_mcc_shift", "segment_prediction",
        ]  # fmt: skip
        names = build_registry(settings).names
        assert "age" in names
        assert "held_loan" in names
        assert not {"income", "is_active", "lag_hour_001"} & set(names)
