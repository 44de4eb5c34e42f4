"""What has changed of a source: eight kinds of change on copies of the real Berka tables, and the rules on small shapes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.schema_diff import BY_PLACE, BY_VALUES, SchemaChange, accepted, same_values, schema_changes
from finai_assets.ingest.schema_shape import ColumnShape, SourceShape, shape_of
from finai_assets.ingest.source_lineage import Place, source_lineage
from finai_assets.settings import load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

KEY = b"a key of a test, not of a bank...."
RULES = load_settings("synthetic", "smoke").schema_changes
Edit = Callable[[pa.Table], pa.Table]


def shape(folder: Path, key: bytes = KEY) -> SourceShape:
    settings = load_settings("berka", "smoke", overrides={"dataset": {"source": str(folder)}})
    adapter = open_adapter(settings, key, LakeSession(Lake.on_disk(folder / "lake")))
    return shape_of(adapter, key, source_lineage(settings), settings.schema_changes)


@pytest.fixture(scope="module")
def real(berka_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SourceShape]:
    folder = tmp_path_factory.mktemp("berka")
    for file in berka_dir.glob("*.parquet"):
        shutil.copy(file, folder / file.name)
        (folder / file.name).chmod(0o644)
    return folder, shape(folder)


def edited(real: tuple[Path, SourceShape], tmp_path: Path, table: str, edit: Edit) -> tuple[SchemaChange, ...]:
    """Return the changes after one table of a copy was edited."""
    shutil.copytree(real[0], tmp_path / "copy", ignore=shutil.ignore_patterns("lake", "cache"))
    file = tmp_path / "copy" / f"{table}.parquet"
    pq.write_table(edit(pq.read_table(file)), file)
    return schema_changes(real[1], shape(tmp_path / "copy"), RULES)


def renamed(old: str, new: str) -> Edit:
    return lambda table: table.rename_columns([new if name == old else name for name in table.column_names])


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def words(table: pa.Table, name: str, old: str, new: str) -> pa.Table:
    changed = pc.if_else(pc.equal(pc.utf8_trim_whitespace(table[name]), old), new, table[name])
    first = pa.chunked_array([changed.combine_chunks()[:3000], table[name].combine_chunks()[3000:]])
    return with_column(table, name, first)


def without_values(table: pa.Table, name: str, every: int) -> pa.Table:
    values = [None if row % every == 0 else value for row, value in enumerate(table[name].to_pylist())]
    return with_column(table, name, pa.array(values, table[name].type))


def renamed_with_other_values(table: pa.Table) -> pa.Table:
    other = pa.array([f"{value} Kc" for value in table["balance"].to_pylist()])
    return renamed("balance", "saldo")(with_column(table, "balance", pc.cast(pc.utf8_length(other), pa.int64())))


CASES: dict[str, tuple[str, Edit, list[tuple[str, str, str]]]] = {
    "a column has come": (
        "loan", lambda t: t.append_column("branch", pa.array(["x"] * t.num_rows)), [("added", "branch", "")]),
    "a column that nothing reads is gone": ("trans", lambda t: t.drop_columns(["balance"]), [("dropped", "balance", "")]),
    "a column that much is made from is gone": ("trans", lambda t: t.drop_columns(["k_symbol"]), [("dropped", "k_symbol", "")]),
    "a column has another name, in another place": (
        "trans", lambda t: renamed("k_symbol", "purpose_code")(t).select(
            ["purpose_code", *(n for n in t.column_names if n != "k_symbol")]), [("renamed", "purpose_code", BY_VALUES)]),
    "a column has another name and other values": ("trans", renamed_with_other_values, [("renamed", "saldo", BY_PLACE)]),
    "a number has become a text": (
        "trans", lambda t: with_column(t, "amount", pc.cast(t["amount"], pa.string())), [("retyped", "amount", "")]),
    "a declared category has a new word": (
        "trans", lambda t: words(t, "k_symbol", "household", "rent"), [("vocabulary", "k_symbol", "")]),
    "a key column lacks values": ("disp", lambda t: without_values(t, "account_id", 10), [("null_share", "account_id", "")]),
}  # fmt: skip


@pytest.mark.berka
@pytest.mark.parametrize("case", CASES)
def test_a_change_of_the_real_tables_is_told_as_what_it_is(
    real: tuple[Path, SourceShape], tmp_path: Path, case: str
) -> None:
    table, edit, expected = CASES[case]
    found = edited(real, tmp_path, table, edit)
    assert [(each.kind, (each.after or each.before).name, each.rule) for each in found] == expected  # type: ignore[union-attr]
    assert all(each.table == table and table in each.told for each in found)
    assert SchemaChange.of(found[0].as_dict()).id == found[0].id


@pytest.mark.berka
@pytest.mark.parametrize(
    "edit",
    [
        lambda table: table.select(list(reversed(table.column_names))),
        lambda table: table.slice(0, table.num_rows - 500),
        lambda table: without_values(table, "bank", 3),
    ],
)
def test_another_order_fewer_rows_or_a_column_that_is_no_key_change_no_schema(
    real: tuple[Path, SourceShape], tmp_path: Path, edit: Edit
) -> None:
    assert edited(real, tmp_path, "trans", edit) == ()


@pytest.mark.berka
def test_nothing_of_a_customer_is_remembered_in_the_clear(real: tuple[Path, SourceShape]) -> None:
    accounts = real[1].column("account", "account_id")
    assert accounts is not None
    assert accounts.words is None
    assert accounts.sketch is not None
    assert not {str(number) for number in range(20_000)} & set(accounts.sketch)
    other = shape(real[0], b"another key of a test, of no bank.").column("account", "account_id")
    assert other is not None
    assert same_values(accounts, other) == 0


@pytest.mark.berka
def test_of_a_manifest_only_names_and_types_are_compared(real: tuple[Path, SourceShape], tmp_path: Path) -> None:
    before = SourceShape.of_schema(
        {table: {column.name: column.type for column in columns} for table, columns in real[1].tables.items()}
    )
    shutil.copytree(real[0], tmp_path / "copy", ignore=shutil.ignore_patterns("lake", "cache"))
    file = tmp_path / "copy" / "trans.parquet"
    pq.write_table(renamed("k_symbol", "purpose_code")(pq.read_table(file)), file)
    found = schema_changes(before, shape(tmp_path / "copy"), RULES)
    assert sorted(each.kind for each in found) == ["added", "dropped"]


NAMES = st.sampled_from(["a", "b", "c", "d"])
COLUMNS = st.builds(
    ColumnShape,
    NAMES,
    st.sampled_from(["int64", "string"]),
    st.none() | st.sampled_from([0.0, 0.5]),
    st.none() | st.lists(st.sampled_from("xyz"), unique=True).map(lambda found: tuple(sorted(found))),
    st.none() | st.lists(st.sampled_from(["01", "02", "03"]), unique=True).map(lambda found: tuple(sorted(found))),
)
SHAPES = st.lists(COLUMNS, unique_by=lambda column: column.name).map(lambda found: SourceShape({"t": tuple(found)}))


@given(SHAPES, SHAPES)
def test_once_every_change_is_accepted_there_is_none_left(before: SourceShape, after: SourceShape) -> None:
    shape = before
    for change in schema_changes(before, after, RULES):
        shape = accepted(shape, change)
        assert accepted(shape, change) == shape
    left = schema_changes(shape, after, RULES)
    # A column whose name and words change at once has its words compared from then on.
    assert [change for change in left if change.kind not in {"vocabulary", "null_share"}] == []
    for change in left:
        shape = accepted(shape, change)
    assert schema_changes(shape, after, RULES) == ()


@given(SHAPES)
def test_a_shape_differs_from_itself_in_nothing_and_survives_a_log(found: SourceShape) -> None:
    assert schema_changes(found, found, RULES) == ()
    assert SourceShape.of(found.as_dict()) == found


def test_what_is_accepted_of_a_column_leaves_what_is_held_of_it() -> None:
    before = SourceShape({"t": (ColumnShape("a", "int64", words=("x",)),)})
    after = SourceShape({"t": (ColumnShape("a", "string", words=("x", "y")),)})
    retyped, grown = schema_changes(before, after, RULES)
    assert (retyped.kind, grown.kind) == ("retyped", "vocabulary")
    assert schema_changes(accepted(before, grown), after, RULES)[0].id == retyped.id


def test_the_share_of_missing_values_takes_no_part_in_the_name_of_its_change() -> None:
    before = SourceShape({"t": (ColumnShape("a", "int64", nulls=0.0),)})
    names = {
        schema_changes(before, SourceShape({"t": (ColumnShape("a", "int64", nulls=share),)}), RULES)[0].id
        for share in (0.3, 0.31)
    }
    assert len(names) == 1


def test_a_purpose_reaches_the_category_and_what_is_held_and_a_balance_nothing() -> None:
    lineage = source_lineage(load_settings("berka", "smoke"))
    assert lineage.touched([Place("trans", "k_symbol")]) == {"raw/transactions.mcc", "raw/snapshots.held"}
    assert lineage.touched([Place("trans", "balance")]) == frozenset()
    assert "raw/snapshots." in lineage.touched([Place("account", "account_id")])
    assert Place("trans", "account_id") in lineage.keys
    assert Place("trans", "operation") in lineage.categorical
