"""The warehouse shows what the manifests list and nothing else, only reads, and tells what an answer was made from."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from finai_resources.chained_log import ChainedLog
from finai_resources.errors import LakeError, QueryError
from finai_resources.lake import BESIDE, Lake
from finai_resources.lake_session import LakeSession
from finai_resources.warehouse import SETTINGS, Warehouse, rebuild
from finai_resources.warehouse_views import EVIDENCE

MONTHS = ("2015-01", "2015-02", "2015-03")
FEATURES = "features/demographics"


def features(month: str) -> pa.Table:
    random = np.random.default_rng(MONTHS.index(month))
    values = random.normal(size=50).astype(np.float32)
    values[:5] = np.nan
    return pa.table({"customer_id": pa.array(range(50), pa.int64()), "age": values, "flag": random.random(50) < 0.5})


@pytest.fixture
def filled(lake: Lake) -> Lake:
    for month in MONTHS:
        with lake.write(FEATURES, month) as out:
            out.write(features(month), row_group_size=20)
            out.put("statistics.json", b"{}")
    with lake.write("raw/products") as out:
        out.write(pa.table({"product_id": [0, 1], "name": ["account", "loan"]}))
    with lake.write("labels/splits") as out:
        out.put("splits.json", b"{}")
    return lake


@pytest.fixture
def warehouse(filled: Lake) -> Warehouse:
    return Warehouse(LakeSession(filled))


def parquet_of(lake: Lake, asset: str, month: str | None) -> Path:
    return next(Path(lake.folder(asset, month)).glob("*.parquet"))


def test_every_table_is_listed_with_its_rows_and_months(warehouse: Warehouse) -> None:
    listed = {table.name: (table.rows, table.months) for table in warehouse.tables()}
    assert listed == {"features.demographics": (150, list(MONTHS)), "raw.products": (2, [])}


def test_a_view_holds_the_values_of_all_months_to_the_bit_behind_their_month(warehouse: Warehouse) -> None:
    found = warehouse.query("SELECT * FROM features.demographics ORDER BY month, customer_id")
    expected = pa.concat_tables([features(month) for month in MONTHS])
    assert found.column_names == ["month", *expected.column_names]
    assert found["month"].to_pylist() == [month for month in MONTHS for _ in range(50)]
    for name in expected.column_names:
        assert found[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes(), name


def test_a_table_without_months_has_no_month(warehouse: Warehouse) -> None:
    found = warehouse.query("FROM raw.products ORDER BY product_id")
    assert found.to_pydict() == {"product_id": [0, 1], "name": ["account", "loan"]}


def test_neither_half_a_partition_nor_a_stray_file_is_seen(filled: Lake, warehouse: Warehouse) -> None:
    stray = parquet_of(filled, FEATURES, "2015-01").with_name("stray.parquet")
    stray.write_bytes(parquet_of(filled, FEATURES, "2015-01").read_bytes())
    half = Path(filled.folder(FEATURES, "2015-04"))
    half.mkdir()
    (half / "part-0.parquet").write_bytes(stray.read_bytes())
    with pytest.raises(RuntimeError), filled.write(FEATURES, "2015-05") as out:  # noqa: PT012 - the write is what raises
        out.write(features("2015-01"))
        raise RuntimeError("stopped")
    found = warehouse.query("SELECT month, count(*) AS n FROM features.demographics GROUP BY month ORDER BY month")
    assert found.to_pydict() == {"month": list(MONTHS), "n": [50, 50, 50]}


def test_a_question_sees_what_the_lake_holds_when_it_is_asked(filled: Lake, warehouse: Warehouse) -> None:
    question = "SELECT count(*) AS n FROM features.demographics"
    assert warehouse.query(question)["n"].to_pylist() == [150]
    with filled.write(FEATURES, "2015-02") as out:
        out.write(features("2015-02").slice(0, 10))
    assert warehouse.query(question)["n"].to_pylist() == [110]


def test_months_with_other_columns_are_joined_by_name(filled: Lake, warehouse: Warehouse) -> None:
    turned = features("2015-02").select(["flag", "customer_id"]).append_column("income", pa.array(range(50)))
    with filled.write(FEATURES, "2015-02") as out:
        out.write(turned)
    found = warehouse.query(
        "SELECT month, sum(customer_id) AS ids, count(age) AS ages, count(income) AS incomes FROM features.demographics "
        "GROUP BY month ORDER BY month"
    )
    assert found["ids"].to_pylist() == [1225] * 3
    assert found["ages"].to_pylist() == [50, 0, 50]
    assert found["incomes"].to_pylist() == [0, 50, 0]


def test_a_table_of_which_one_month_is_damaged_is_refused_until_it_is_computed_again(
    filled: Lake, warehouse: Warehouse
) -> None:
    other = parquet_of(filled, FEATURES, "2015-03")
    other.write_bytes(b"x" * other.stat().st_size)
    for _ in range(2):  # the second time its manifest is aside, and the other months alone would be half an answer
        with pytest.raises(LakeError, match="damaged") as caught:
            warehouse.query("SELECT count(age) FROM features.demographics")
        assert "finai run" in str(caught.value)
    with filled.write(FEATURES, "2015-03") as out:
        out.write(features("2015-03"))
    assert warehouse.query("SELECT count(age) AS n FROM features.demographics")["n"].to_pylist() == [150]


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_file_is_named_with_the_way_out(filled: Lake, warehouse: Warehouse, damage: str) -> None:
    file = parquet_of(filled, FEATURES, "2015-02")
    content = file.read_bytes()
    file.unlink() if damage == "gone" else file.write_bytes(content[:-9])
    with pytest.raises(LakeError, match=f"its manifest says {len(content)}") as caught:
        warehouse.query("SELECT count(*) FROM features.demographics")
    assert "`finai run` computes features/demographics@2015-02 again" in str(caught.value)


def test_odd_letters_in_folders_tables_columns_and_values_stand_for_themselves(tmp_path: Path) -> None:
    lake = Lake.on_disk(tmp_path / "it's [a-z]*? env=prod")
    similar = Lake.on_disk(tmp_path / "it's bcd env=prod")  # what the first would mean as a pattern
    for chosen, value in ((lake, 1), (similar, 2)):
        with chosen.write("raw/odd \"name'; DROP", "2015-01") as out:
            out.write(pa.table({'a "column"': [value, value], "text": ["' OR 1=1 --", "x"]}))
        ChainedLog(chosen, EVIDENCE).append({"value": value})
    warehouse = Warehouse(LakeSession(lake))
    table = 'raw."odd ""name\'; DROP"'
    found = warehouse.query(f"SELECT * FROM {table}")
    assert found.to_pydict() == {"month": ["2015-01"] * 2, 'a "column"': [1, 1], "text": ["' OR 1=1 --", "x"]}
    asked = warehouse.query(f"SELECT count(*) AS n FROM {table} WHERE text = $text", {"text": "' OR 1=1 --"})
    assert asked["n"].to_pylist() == [1]
    assert warehouse.query("SELECT record->>'value' AS value FROM evidence.log").to_pydict() == {"value": ["1"]}


def test_names_may_be_written_in_capitals(warehouse: Warehouse) -> None:
    assert warehouse.query("SELECT count(*) AS n FROM Raw.PRODUCTS")["n"].to_pylist() == [2]


def test_a_with_of_the_question_is_not_taken_for_a_table(warehouse: Warehouse) -> None:
    found = warehouse.query("WITH products AS (SELECT name FROM raw.products) SELECT count(*) AS n FROM products")
    assert found["n"].to_pylist() == [2]


@pytest.mark.parametrize("question", ["SHOW ALL TABLES", "SELECT table_name AS name FROM information_schema.tables"])
def test_the_tables_can_be_listed_in_sql(warehouse: Warehouse, question: str) -> None:
    assert sorted(warehouse.query(question)["name"].to_pylist()) == ["demographics", "products"]


def test_a_variable_of_python_is_no_table(warehouse: Warehouse) -> None:
    secret = pa.table({"x": [1]})
    with pytest.raises(QueryError, match="secret does not exist"):
        warehouse.query("SELECT * FROM secret")
    assert secret.num_rows == 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("DROP VIEW raw.products", "more than read"),
        ("COPY raw.products TO '/tmp/finai-stolen.csv'", "more than read"),
        ("ATTACH 'other.duckdb'", "more than read"),
        ("INSTALL httpfs", "more than read"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM raw.products", '"nothing" not found'),
        ("SELECT * FROM read_text('/etc/hostname')", "nothing else"),
        ("SELECT * FROM read_csv('https://127.0.0.1:9/x.csv')", "nothing else"),
        ("SELECT * FROM raw.produkts", "there is no table raw.produkts"),
        ("SELECT $month", "parameters: month"),
    ],
)
def test_what_is_no_question_of_the_lake_is_refused_in_one_sentence(
    warehouse: Warehouse, question: str, said: str
) -> None:
    with pytest.raises(QueryError) as caught:
        warehouse.query(question)
    assert said in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.fix


def test_a_question_reads_no_file_of_a_table_that_it_does_not_name(filled: Lake, warehouse: Warehouse) -> None:
    path = parquet_of(filled, FEATURES, "2015-01")
    with pytest.raises(QueryError, match="nothing else"):
        warehouse.query(f"SELECT count(*) FROM raw.products, read_parquet('{path}')")


def test_a_wrong_name_is_answered_with_those_that_are_near(warehouse: Warehouse) -> None:
    with pytest.raises(QueryError, match=r"did you mean raw\.products\?.*finai sql --tables"):
        warehouse.query("SELECT * FROM raw.product")


def test_an_asset_without_a_table_says_so(warehouse: Warehouse) -> None:
    with pytest.raises(LakeError, match="holds no table"):
        warehouse.query("SELECT * FROM labels.splits")


def test_an_empty_lake_says_how_it_is_filled(lake: Lake) -> None:
    with pytest.raises(LakeError, match="finai run"):
        Warehouse(LakeSession(lake)).tables()


def test_what_a_question_names_is_noted_as_read(filled: Lake, warehouse: Warehouse) -> None:
    warehouse.query("SELECT count(*) FROM features.demographics")
    assert warehouse.session.seen == {
        f"{FEATURES}@{month}": filled.manifest(FEATURES, month).content_hash for month in MONTHS
    }


def test_listed_months_are_all_that_is_shown_and_noted(filled: Lake, warehouse: Warehouse) -> None:
    question = "SELECT count(*) AS n, count(DISTINCT month) AS months FROM features.demographics"
    found = warehouse.query(question, reads={FEATURES: ["2015-01", "2015-03"]})
    assert found.to_pylist() == [{"n": 100, "months": 2}]
    assert set(warehouse.session.seen) == {f"{FEATURES}@2015-01", f"{FEATURES}@2015-03"}
    with pytest.raises(QueryError, match=r"raw\.products.* does not exist"):
        warehouse.query("SELECT count(*) FROM raw.products", reads={FEATURES: None})
    with pytest.raises(LakeError, match="has not been written"):
        warehouse.query(question, reads={FEATURES: ["2015-09"]})


def test_several_questions_share_the_views_of_what_was_opened_and_see_nothing_else(warehouse: Warehouse) -> None:
    question = "SELECT count(*) AS n FROM features.demographics WHERE month >= $month"
    with warehouse.opened({FEATURES: ["2015-01", "2015-03"]}) as answer:
        assert answer("SELECT count(*) AS n FROM features.demographics")["n"].to_pylist() == [100]
        assert answer(question, {"month": "2015-02"})["n"].to_pylist() == [50]
        with pytest.raises(QueryError, match=r"raw\.products.* does not exist"):
            answer("SELECT count(*) FROM raw.products")
        with pytest.raises(QueryError, match="more than read"):
            answer("DROP VIEW features.demographics")
    assert set(warehouse.session.seen) == {f"{FEATURES}@2015-01", f"{FEATURES}@2015-03"}


def test_what_was_asked_becomes_the_upstream_of_what_is_written(filled: Lake) -> None:
    session = LakeSession(filled)
    found = Warehouse(session).query("SELECT avg(product_id) AS mean FROM raw.products", reads={"raw/products": None})
    with session.write("report/means", code_version="1") as out:
        out.write(found)
    assert filled.manifest("report/means").upstream == {"raw/products": filled.manifest("raw/products").content_hash}


def test_one_thread_adds_and_no_extension_is_fetched(warehouse: Warehouse) -> None:
    names = ["threads", "autoinstall_known_extensions", "enable_external_access", "lock_configuration"]
    found = warehouse.query(
        "SELECT name, value FROM duckdb_settings() WHERE list_contains($names, name)", {"names": names}
    )
    assert dict(zip(*found.to_pydict().values(), strict=True)) == dict(
        zip(names, ["1", "false", "false", "true"], strict=True)
    )


def test_the_evidence_log_is_a_view(filled: Lake, warehouse: Warehouse) -> None:
    log = ChainedLog(filled, EVIDENCE)
    log.append_all([{"check": "C05", "passed": True}, {"check": "C17", "passed": False, "reason": "it's drift"}])
    question = """
        SELECT sequence, record->>'check' AS "check", (record->>'passed')::BOOLEAN AS passed, record->>'reason' AS reason
        FROM evidence.log ORDER BY sequence
    """
    assert warehouse.query(question).to_pylist() == [
        {"sequence": 0, "check": "C05", "passed": True, "reason": None},
        {"sequence": 1, "check": "C17", "passed": False, "reason": "it's drift"},
    ]


def test_what_lies_beside_the_partitions_is_no_table(filled: Lake) -> None:
    for folder in BESIDE:
        place = Path(filled.root, folder, "x", "all")
        place.mkdir(parents=True)
        (place / "part-0.parquet").write_bytes(parquet_of(filled, "raw/products", None).read_bytes())
    assert filled.assets() == [FEATURES, "labels/splits", "raw/products"]


def test_the_file_for_people_holds_the_same_views_and_is_replaced_whole(filled: Lake, tmp_path: Path) -> None:
    file = tmp_path / "finai.duckdb"
    file.write_bytes(b"what was there before")
    ChainedLog(filled, EVIDENCE).append({"check": "C05"})
    assert rebuild(filled, file) == ["features.demographics", "raw.products", "evidence.log"]
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.sql("SELECT month, count(*) FROM features.demographics GROUP BY month ORDER BY month")
        assert found.fetchall() == [(month, 50) for month in MONTHS]
        assert connection.sql("SELECT count(*) FROM evidence.log").fetchall() == [(1,)]
        kinds = connection.sql("SELECT DISTINCT table_type FROM information_schema.tables").fetchall()
    assert kinds == [("VIEW",)]
    assert not file.with_suffix(".new").exists()


def test_the_settings_are_those_that_a_connection_takes() -> None:
    with duckdb.connect(config=SETTINGS) as connection:
        assert connection.sql("SELECT current_setting('threads')").fetchall() == [(1,)]
