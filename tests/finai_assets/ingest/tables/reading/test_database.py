"""Databases: read-only, streamed, types told by the values, and no password in anything that is shown."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import traceback
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.tables.reading import address as address_module
from finai_assets.ingest.tables.reading import database as database_module
from finai_assets.ingest.tables.reading.address import Address
from finai_assets.ingest.tables.reading.columnar import Refusal
from finai_assets.ingest.tables.reading.values import column_of, common_kind, kind_of_value, type_of
from finai_resources.errors import ConfigError, ContractError

PASSWORD = "p@ss/w:rd %[red]"


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            CREATE TABLE orders (id INTEGER, account, amount NUMERIC, word TEXT, flag BOOLEAN, bytes BLOB, empty);
            INSERT INTO orders VALUES (9000000000000000001, 1, 1.5, 'a', 1, x'00ff', NULL), (2, 'A7', 3, NULL, 0, NULL, NULL);
            CREATE VIEW large AS SELECT id, amount FROM orders WHERE amount > 2;
            CREATE TABLE "odd; table" ("a b" TEXT);
            """
        )
    connection.close()
    return path


@pytest.fixture
def duck(tmp_path: Path) -> Path:
    path = tmp_path / "bank.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(
            "CREATE TABLE orders AS SELECT 170141183460469231731687303715884105727::hugeint AS huge, "
            "340282366920938463463374607431768211455::uhugeint AS larger, 1.50::decimal(10, 2) AS amount, "
            "'CZ'::enum('CZ', 'SK') AS country, date '1993-01-05' AS day, timestamp_ns '1993-01-05 10:00:00.000000001' AS odd, "
            "timestamptz '1993-01-31 23:30:00+00' AS instant, {'a': 1} AS parts, interval 1 day AS lasts, NULL AS nothing"
        )
        connection.execute("CREATE SCHEMA core; CREATE VIEW core.few AS SELECT amount FROM orders")
    return path


def test_a_table_of_sqlite_has_one_type_for_each_column(bank, read, values):
    rows = read(url="sqlite:///bank.db", table="orders")
    assert values(rows) == [
        (9000000000000000001, "1", 1.5, "a", 1, b"\x00\xff", None),
        (2, "A7", 3.0, None, 0, None, None),
    ]
    assert rows.schema["account"] == "text"
    assert rows.files.keys() == {"bank.db"}
    assert rows.counts == {"bank.db": 2}
    assert read(None, url=f"sqlite:///{bank}", table="orders").parquet == rows.parquet
    assert values(read(url="sqlite:///bank.db", table="ORDERS")) == values(rows)


def test_a_query_and_a_view_are_read_as_a_table_is(bank, read, values):
    assert values(read(url="sqlite:///bank.db", table="large")) == [(2, 3)]
    query = "SELECT id AS x, ':odd' AS word FROM orders WHERE word IS NULL; "
    assert values(read(url="sqlite:///bank.db", query=query)) == [(2, ":odd")]
    assert values(read(url="sqlite:///bank.db", table="odd; table")) == []


def test_types_hold_over_all_batches_and_not_only_the_first(bank, read, values, monkeypatch):
    with sqlite3.connect(bank) as connection:
        connection.execute("CREATE TABLE late (n, id, amount, mixed)")
        connection.executemany(
            "INSERT INTO late VALUES (?, ?, ?, ?)",
            [(i, i if i < 90 else f"A{i}", i if i % 2 else i / 2, i if i < 95 else 0.5) for i in range(100)],
        )
        connection.execute("INSERT INTO late VALUES (9007199254740993, NULL, NULL, NULL)")
    connection.close()
    monkeypatch.setattr(database_module, "BATCH", 7)
    rows = read(url="sqlite:///bank.db", table="late")
    found = values(rows)
    assert [row[1] for row in found] == [str(i) if i < 90 else f"A{i}" for i in range(100)] + [None]
    assert [row[2] for row in found[:4]] == [0.0, 1.0, 1.0, 3.0]
    assert found[-1][0] == 9007199254740993


def test_a_column_whose_values_have_nothing_in_common_stops_nothing_unless_it_is_used(bank, read, values):
    with sqlite3.connect(bank) as connection:
        connection.execute("CREATE TABLE mixed AS SELECT 1 AS id, 1.5 AS x UNION ALL SELECT 2, 'one and a half'")
    connection.close()
    rows = read(url="sqlite:///bank.db", table="mixed")
    assert values(rows) == [(1,), (2,)]
    with pytest.raises(ContractError, match=r"bank.db, table mixed, column x: values of several types: real, text"):
        rows.require(["x"])


def test_duckdb_types_that_parquet_would_change_are_read_as_text_or_refused(duck, read, values):
    rows = read(url="duckdb:///bank.duckdb", table="orders", time_zone="Europe/Prague")
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM {rows.scan()}").to_arrow_table().to_pylist()[0]
    assert found["huge"] == str(2**127 - 1)
    assert found["larger"] == str(2**128 - 1)
    assert (found["amount"], found["country"], found["day"]) == (Decimal("1.50"), "CZ", dt.date(1993, 1, 5))
    assert found["instant"] == dt.datetime(1993, 2, 1, 0, 30)
    assert (found["lasts"], found["nothing"]) == ("1 day", None)
    with pytest.raises(ContractError, match=r"column odd: timestamps with nanoseconds"):
        rows.require(["odd"])
    assert rows.nested("parts") == "struct(a integer)"
    assert values(read(url="duckdb:///bank.duckdb", table="core.few")) == [(Decimal("1.50"),)]


@pytest.mark.parametrize(
    ("url", "asked", "said"),
    [
        ("sqlite:///bank.db", {"table": "order"}, r"no table order; the database has .*orders.*did you mean orders"),
        ("duckdb:///bank.duckdb", {"table": "order"}, r"no table order; the database has .*orders"),
        ("sqlite:///absent.db", {"table": "orders"}, r"absent.db: there is no database"),
        (
            "sqlite:///bank.db",
            {"query": "SELECT absent FROM orders"},
            r"the database failed: no such column: absent",
        ),
        ("sqlite:///broken.db", {"table": "orders"}, r"the database failed: file is not a database"),
        ("duckdb:///broken.db", {"table": "orders"}, r"the database failed: "),
    ],
)
def test_what_is_not_there_is_told(bank, duck, tmp_path, read, url, asked, said):
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ContractError, match=said):
        read(url=url, **asked)


@pytest.mark.parametrize("url", ["sqlite:///bank.db", "duckdb:///bank.duckdb"])
@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE orders",
        "SELECT 1; DROP TABLE orders",
        "ATTACH 'x.db' AS x",
        "COPY orders TO 'out.csv'",
        "PRAGMA journal_mode = WAL",
        "INSERT INTO orders SELECT * FROM orders",
    ],
)
def test_a_query_that_does_more_than_read_is_refused(bank, duck, read, url, query):
    before = bank.read_bytes()
    with pytest.raises(ConfigError, match="the query does more than read"):
        read(url=url, query=query)
    assert bank.read_bytes() == before


@pytest.mark.parametrize(
    "query",
    ["SELECT * FROM read_csv('/etc/passwd')", "FROM '/etc/passwd'", "WITH x AS (SELECT 1) FROM glob('/*'), x"],
)
def test_a_query_of_duckdb_reaches_no_file(duck, read, query):
    with pytest.raises(ContractError, match=r"the database failed: (?!.*root:)"):
        read(url="duckdb:///bank.duckdb", query=query)


def test_a_database_in_a_file_is_not_asked_again_until_its_bytes_change(bank, read, values, monkeypatch):
    first = read(url="sqlite:///bank.db", table="orders")
    with monkeypatch.context() as patch:
        patch.setattr(database_module, "_from_sqlalchemy", lambda *_: pytest.fail("it was asked again"))
        assert read(url="sqlite:///bank.db", table="orders").parquet == first.parquet
    connection = sqlite3.connect(bank)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO orders (id) VALUES (3)")
    connection.commit()  # the row lies in the log beside the file
    second = read(url="sqlite:///bank.db", table="orders")
    assert len(values(second)) == 3
    assert second.files != first.files
    connection.close()


def test_nothing_is_written_beside_a_database(bank, read):
    before = sorted(bank.parent.iterdir())
    read(url="sqlite:///bank.db", table="orders")
    assert [path for path in sorted(bank.parent.iterdir()) if path.name != "cache"] == before


# ---- addresses


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:secret@host/bank",
        "postgresql://reader:${A}secret@host/bank",
        "mysql://host/bank?password=secret",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dsecret",
    ],
)
def test_a_password_in_the_settings_is_refused_and_not_repeated(read, url, monkeypatch):
    monkeypatch.setenv("A", "a")
    with pytest.raises(ConfigError, match=r"a password stands in the settings(.|\n)*\$\{NAME\}") as caught:
        read(url=url, table="orders")
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_variable_that_is_not_set_is_named(read, monkeypatch):
    monkeypatch.delenv("BANK_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="the variable BANK_PASSWORD is not set"):
        read(url="postgresql://reader:${BANK_PASSWORD}@host/bank", table="orders")


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg9://reader:${BANK_PASSWORD}@host/bank", "nosuch://reader:${BANK_PASSWORD}@host/bank",
     "oracle+oracledb://reader:${BANK_PASSWORD}@host/bank", "${BANK_URL}", "no url ${BANK_PASSWORD}"],
)  # fmt: skip
def test_no_error_holds_a_password_in_any_form(read, url, monkeypatch):
    monkeypatch.setenv("BANK_PASSWORD", PASSWORD)
    monkeypatch.setenv("BANK_URL", "nosuch://reader:hunter2222@host/bank")
    with pytest.raises((ConfigError, ContractError)) as caught:
        read(url=url, table="orders")
    told = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in told
    assert "hunter2222" not in told
    assert Address.of("sqlite:///x.db", None, where="w").scrubbed("text") == "text"


def test_an_address_shows_no_user_password_or_option_and_takes_any_letters(monkeypatch):
    monkeypatch.setenv("BANK_PASSWORD", PASSWORD)
    address = Address.of("postgresql://me:${BANK_PASSWORD}@db.bank:5433/core?sslmode=require", None, where="w")
    assert address.url.password == PASSWORD
    assert address.shown == "postgresql://db.bank:5433/core"
    for form in (PASSWORD, "p%40ss%2Fw%3Ard%20%25%5Bred%5D"):
        assert address.scrubbed(f"failed for {form}!") == "failed for ***!"


# ---- values


ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=3),
    st.binary(max_size=3), st.decimals(-(10**6), 10**6, places=3), st.dates(), st.datetimes(),
)  # fmt: skip


@given(st.lists(ANY, max_size=6))
def test_a_column_of_any_values_keeps_each_or_is_refused(found):
    kind = common_kind({kind_of_value(value) for value in found})
    if isinstance(kind, Refusal):
        assert "several types" in kind.what
        return
    column = column_of(found, kind)
    assert column.type == type_of(kind)
    for value, kept in zip(found, column.to_pylist(), strict=True):
        if kind == "text" and value is not None:
            assert kept == str(value)
        elif kind == "timestamp" and type(value) is dt.date:
            assert kept == dt.datetime.combine(value, dt.time())
        else:
            assert kept == value


@given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=5))
def test_whole_numbers_of_any_size_keep_every_digit(numbers):
    kind = common_kind({kind_of_value(number) for number in numbers})
    assert [int(value) for value in column_of(numbers, kind).cast(pa.decimal128(38, 0)).to_pylist()] == numbers


# ---- a server


def test_a_server_is_asked_each_time_and_its_rows_tell_whether_they_changed(bank, read, values, monkeypatch):
    monkeypatch.setattr(address_module, "IN_FILES", ())  # so that the file is asked as a server is
    first = read(None, url=f"sqlite:///{bank}", table="orders")
    again = read(None, url=f"sqlite:///{bank}", table="orders")
    assert (again.files, again.parquet) == (first.files, first.parquet)
    assert list(first.files) == [f"sqlite:///{bank}, table orders"]
    with sqlite3.connect(bank) as connection:
        connection.execute("UPDATE orders SET word = 'b' WHERE id = 2")
    connection.close()
    changed = read(None, url=f"sqlite:///{bank}", table="orders")
    assert changed.files != first.files
    assert [row[3] for row in values(changed)] == ["a", "b"]
    assert [row[3] for row in values(first)] == ["a", None]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Start a server of Debian's packages on a socket of its own; return its URL. The server refuses to run as root."""
    found = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    if not found:
        pytest.skip("no server of Postgres is installed (Debian: apt-get install postgresql)")
    programs = max(found)
    as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="finai-pg-") as made:
        folder = Path(made)
        if as_owner:
            shutil.chown(folder, "postgres")

        def server(*words: object) -> None:
            ran = subprocess.run([*as_owner, *map(str, words)], capture_output=True, text=True, check=False, cwd=folder)
            assert ran.returncode == 0, ran.stderr

        server(programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "bank")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
        server(programs / "pg_ctl", "-D", folder / "data", "-w", "-o", options, "-l", folder / "log", "start")
        try:
            url = f"postgresql+psycopg://bank@/postgres?host={folder}"
            with sqlalchemy.create_engine(url).begin() as connection:
                connection.exec_driver_sql(
                    "CREATE TABLE orders AS SELECT i AS id, i / 4.0::numeric(10, 2) AS amount, "
                    "timestamptz '1993-01-31 23:30+00' AS ts, '{\"a\": 1}'::jsonb AS parts, gen_random_uuid() AS token "
                    "FROM generate_series(1, 100000) AS i"
                )
                connection.exec_driver_sql("CREATE SEQUENCE numbers")
            yield url
        finally:
            server(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")


def test_a_table_of_postgres_is_streamed_and_a_change_of_its_rows_is_seen(postgres, read, values):
    rows = read(url=postgres, table="orders", time_zone="Europe/Prague")
    found = values(rows)
    assert len(found) == 100_000
    assert found[0][:3] == (1, Decimal("0.25"), dt.datetime(1993, 2, 1, 0, 30))
    assert json.loads(found[0][3]) == {"a": 1}
    assert read(url=postgres, table="orders", time_zone="Europe/Prague").files == rows.files
    with sqlalchemy.create_engine(postgres).begin() as connection:
        connection.exec_driver_sql("UPDATE orders SET amount = 7 WHERE id = 99999")
    changed = read(url=postgres, table="orders", time_zone="Europe/Prague")
    assert changed.files != rows.files
    assert {row[0]: row[1] for row in values(changed)}[99_999] == Decimal(7)


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone", "data-modifying statements"),
        ("SELECT nextval('numbers')", "read-only transaction"),
    ],
)
def test_a_query_that_would_write_to_postgres_is_refused_by_the_server(postgres, read, query, refusal):
    with pytest.raises(ContractError, match=refusal):
        read(url=postgres, query=query)
