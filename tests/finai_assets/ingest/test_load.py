"""A month is written whole or not at all, from any adapter, in pieces or in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.ingest.adapter import MonthTables, Piece, SyntheticAdapter, open_adapter, product_catalogue
from finai_assets.ingest.contract import ASSET_BANDS, CONSENTS, CONTACTS, RISK_PROFILES, protected_contract
from finai_assets.ingest.files import schema_hash
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError, ContractError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.stored_bytes import every_fault

OFFERS = {"risk_profiles": RISK_PROFILES, "consents": CONSENTS, "contacts": CONTACTS, "asset_bands": ASSET_BANDS}
RAW = ("raw/snapshots", "raw/transactions", "raw/protected_attributes")


@dataclass
class TableAdapter:
    """Tables in memory, cut into pieces of a few rows."""

    settings: Settings
    tables: dict[str, pa.Table]
    rows: int = 100
    name: str = "tables"
    have: list[Month] = field(default_factory=lambda: [Month.parse("2015-03")])

    def months(self):
        return self.have

    def products(self):
        return product_catalogue(self.settings)

    def merchant_categories(self):
        return pa.table({"mcc": [4111, 5411, 5812], "name": ["bus", "shop", "food"], "l2": [0, 1, 2], "l1": [0, 1, 1]})

    @classmethod
    def current_files(cls, settings, digest):
        return {"crm.parquet": "ab" * 32}

    def source_files(self):
        return {"crm.parquet": "ab" * 32}

    def source_schema(self):
        return {name: {f.name: str(f.type) for f in table.schema} for name, table in self.tables.items()}

    def pseudonym_witness(self):
        return {"key_id": "k", "planted": {"planted:1": "1"}}

    def month(self, month):
        given = {name: self._pieces(name) for name in self.tables if name in OFFERS}
        return MonthTables(*(self._pieces(name) for name in ("snapshots", "transactions", "protected")), **given)

    def _pieces(self, name):
        table = self.tables[name]
        for low in range(0, max(1, table.num_rows), self.rows):
            yield Piece(f"{name}.parquet", table.slice(low, self.rows))


@pytest.fixture
def protected() -> pa.Table:
    return pa.table(
        {"customer_id": [10, 11, 12, 13], "region": ["a", None, "b", "a"]}, schema=protected_contract(["region"]).schema
    )


@pytest.fixture
def adapter(settings, snapshots, transactions, protected) -> TableAdapter:
    offers = {name: schema.empty_table() for name, schema in OFFERS.items()}
    return TableAdapter(
        settings, {"snapshots": snapshots, "transactions": transactions, "protected": protected, **offers}
    )


def test_a_table_for_offering_without_rows_is_written_and_one_that_is_missing_is_refused(
    adapter, lake, month, settings
):
    load(adapter, lake, month, settings)
    assert all(lake.read(f"raw/{name}", "2015-03").schema.names == schema.names for name, schema in OFFERS.items())
    del adapter.tables["consents"]
    with pytest.raises(ContractError, match="the source has no consents"):
        load(adapter, lake, month, settings)


def load(adapter, lake, month, settings):
    return load_month(adapter, LakeSession(lake), month, settings, code_version="1", config_hash="c")


def test_a_month_is_written_with_its_figures_and_its_source(
    adapter, lake, month, settings, snapshots, transactions, protected
):
    figures = load(adapter, lake, month, settings)
    assert lake.read("raw/snapshots", "2015-03").equals(snapshots)
    assert lake.read("raw/transactions", "2015-03").equals(transactions)
    assert lake.read("raw/protected_attributes", "2015-03").equals(protected)
    assert figures["raw/transactions"] == {
        "rows": 4,
        "customers": 3,
        "null_share": {"merchant_id": 0.25},
        "first_ts": "2015-03-01T00:00:00",
        "last_ts": "2015-03-31T23:59:59.999999",
    }
    assert figures["raw/snapshots"]["null_share"] == dict.fromkeys(
        ("age", "income", "tenure_months", "is_active", "gender", "segment", "channel"), 0.25
    )
    manifest = lake.manifest("raw/snapshots", "2015-03")
    assert manifest.extra["source_schema_hash"] == schema_hash(adapter.source_schema())
    assert manifest.extra["source_files"] == {"crm.parquet": "ab" * 32}
    assert (manifest.code_version, manifest.config_hash) == ("1", "c")


def test_figures_and_rows_do_not_depend_on_the_size_of_the_pieces(adapter, tmp_path, month, settings):
    whole, pieces = Lake.on_disk(tmp_path / "a"), Lake.on_disk(tmp_path / "b")
    first = load(adapter, whole, month, settings)
    adapter.rows = 1
    assert load(adapter, pieces, month, settings) == first
    for asset in RAW:
        assert whole.read(asset, "2015-03").equals(pieces.read(asset, "2015-03"))


def spoiled(adapter: TableAdapter, name: str, column: str, values: list[object]) -> TableAdapter:
    table = adapter.tables[name]
    position = table.column_names.index(column)
    bad = table.set_column(position, table.schema.field(column), pa.array(values, table.schema.field(column).type))
    return TableAdapter(adapter.settings, {**adapter.tables, name: bad}, rows=2)


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("snapshots", "age", [20, 30, 40, 200]),
        ("transactions", "mcc", [5411, 5411, 5411, 1]),
        ("transactions", "amount", [1.0, 1.0, 1.0, np.nan]),
        ("protected", "customer_id", [10, 11, 12, 12]),
    ],
)
def test_nothing_of_a_month_is_written_where_a_rule_is_broken_in_any_table(
    adapter, lake, month, settings, name, column, values
):
    with pytest.raises(ContractError, match=f"{name}.parquet, column {column}.*1 row"):
        load(spoiled(adapter, name, column, values), lake, month, settings)
    assert [asset for asset in RAW if lake.find(asset, "2015-03")] == []
    assert list((Path(lake.root) / "_staging").iterdir()) == []


def test_a_good_month_stays_as_it_was_when_its_replacement_is_bad(adapter, lake, month, settings, snapshots):
    load(adapter, lake, month, settings)
    before = {asset: lake.manifest(asset, "2015-03").content_hash for asset in RAW}
    with pytest.raises(ContractError):
        load(spoiled(adapter, "transactions", "mcc", [1, 1, 1, 1]), lake, month, settings)
    assert {asset: lake.manifest(asset, "2015-03").content_hash for asset in RAW} == before
    assert all(every_fault(lake, lake.manifest(asset, "2015-03")) == [] for asset in RAW)


def test_an_adapter_that_fails_midway_leaves_nothing(adapter, lake, month, settings):
    class Torn(TableAdapter):
        def _pieces(self, name):
            yield from super()._pieces(name)
            if name == "protected":
                raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        load(Torn(settings, adapter.tables), lake, month, settings)
    assert [asset for asset in RAW if lake.find(asset, "2015-03")] == []


@pytest.mark.parametrize("name", ["snapshots", "transactions"])
def test_an_empty_table_is_an_empty_month(adapter, lake, month, settings, name):
    empty = TableAdapter(settings, {**adapter.tables, name: adapter.tables[name].slice(0, 0)})
    with pytest.raises(ContractError, match=f"{name}.parquet.*empty month: 0 rows of {name}"):
        load(empty, lake, month, settings)
    assert [asset for asset in RAW if lake.find(asset, "2015-03")] == []


def test_a_gap_in_the_source_stops_every_month(adapter, lake, month, settings):
    adapter.have = [Month.parse("2015-01"), Month.parse("2015-03")]
    with pytest.raises(ContractError, match=r"month missing in the middle: 1 of 3.*2015-02"):
        load(adapter, lake, month, settings)


def test_the_catalogue_is_written_checked(adapter, lake, settings):
    figures = load_catalogue(adapter, LakeSession(lake), settings, code_version="1")
    assert figures == {
        "raw/products": {"rows": 24},
        "raw/product_terms": {"rows": 24},
        "raw/merchant_categories": {"rows": 3},
    }
    products = lake.read("raw/products").to_pylist()
    assert [row["product_id"] for row in products] == list(range(24))
    assert (products[4]["name"], products[4]["terms"]) == ("Time deposit", "{}")
    assert (products[4]["family"], products[4]["risk_grade"]) == (1, 6)
    assert products[12]["risk_grade"] is None


def test_a_bad_tree_of_categories_leaves_no_catalogue(adapter, lake, settings):
    adapter.merchant_categories = lambda: pa.table({"mcc": [1, 1], "name": ["a", "b"], "l2": [0, 0], "l1": [0, 0]})
    with pytest.raises(ContractError, match="duplicate code"):
        load_catalogue(adapter, LakeSession(lake), settings, code_version="1")
    assert lake.find("raw/products") is None
    assert lake.find("raw/merchant_categories") is None


def test_the_generated_panel_is_read_row_group_by_row_group_and_is_the_upstream(lake, month, settings, adapter):
    session = LakeSession(lake)
    of = {**adapter.tables, "protected_attributes": adapter.tables["protected"]}
    for name in ("snapshots", "transactions", "protected_attributes"):
        table = of[name]
        with session.write(f"source/{name}", "2015-03", code_version="1") as out:
            out.write(table.slice(0, 2))
            out.write(table.slice(2))
    for name, schema in OFFERS.items():
        with session.write(f"source/{name}", "2015-03", code_version="1") as out:
            out.write(schema.empty_table())
    panel = open_adapter(settings, b"k" * 32, LakeSession(lake))
    assert isinstance(panel, SyntheticAdapter)
    assert panel.months() == [month]
    pieces = list(panel.month(month).snapshots)
    assert [piece.table.num_rows for piece in pieces] == [2, 2]
    assert {piece.source for piece in pieces} == {"source/snapshots@2015-03"}
    assert panel.source_schema()["transactions"]["ts"] == "timestamp[us]"
    assert "source/snapshots@2015-03" in panel.session.seen
    with pytest.raises(ConfigError, match=r"source/snapshots@2015-04.*no month 2015-04"):
        panel.month(month + 1)
