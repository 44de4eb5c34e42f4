"""C05: the raw tables of a month keep the data contract, as a Great Expectations suite; with the inputs that prove it can fail.

Ingest refuses bad rows before they are written; this check looks at what was written. It is made from the same statement of the
rules, and Great Expectations judges by it with code of its own, so that one mistake in the first does not go unseen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.ingest.contract import (
    KEY,
    SNAPSHOTS,
    TRANSACTIONS,
    AscendingProducts,
    FirstOfMonth,
    KnownCategory,
    KnownProducts,
    OneOf,
    Range,
    Rule,
    TableContract,
    WithinMonth,
    snapshots_contract,
    transactions_contract,
)
from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE, CheckOutcome
from finai_resources.months import Month

# Rows of a table that a suite reads. Beyond it, every k-th row is read, and the rows that hold a column's extremes, nulls,
# repeated keys and distinct codes, so that a bound broken anywhere is still seen.
ROW_LIMIT = 50_000
# Columns of at most this many distinct values are seen with each of them (ISO 18245 lists about a thousand categories).
_CODES = 2_000
_LARGEST = sys.float_info.max
Build = Callable[[Any], list[Any]]


def schema_contract(
    snapshots: pa.Table,
    transactions: pa.Table,
    month: Month,
    settings: Settings,
    *,
    mccs: Sequence[int] | None = None,
    row_limit: int = ROW_LIMIT,
) -> CheckOutcome:
    """Validate a month of ``raw/snapshots`` and ``raw/transactions``.

    Parameters
    ----------
    mccs
        Codes of the catalogue; where they are not given, any code that is not negative will do.
    row_limit
        Rows of each table that are validated.

    Returns
    -------
    CheckOutcome
        ``n`` counts the rows of both tables; ``observed`` gives rows in all, rows validated and expectations by table; ``table``
        has one row for each expectation. No row in either table is no evidence.
    """
    rows = {"snapshots": snapshots.num_rows, "transactions": transactions.num_rows}
    if not all(rows.values()):
        return CheckOutcome.no_evidence(rows=rows)
    parts = [
        ("snapshots schema", _schema_frame(snapshots), _of_schema(SNAPSHOTS)),
        ("transactions schema", _schema_frame(transactions), _of_schema(TRANSACTIONS)),
    ]
    results = [row for name, frame, build in parts for row in _validate(name, frame, build)]
    validated = {"snapshots": 0, "transactions": 0}
    if all(row["passed"] for row in results):  # the values of a table with another schema cannot be judged
        frames = {"snapshots": _snapshot_frame(snapshots, row_limit), "transactions": _frame(transactions, row_limit)}
        contracts = {"snapshots": snapshots_contract(settings), "transactions": transactions_contract()}
        for name, frame in frames.items():
            validated[name] = len(frame)
            results += _validate(name, frame, _of_table(contracts[name], month, mccs))
    failed = [row for row in results if not row["passed"]]
    observed = {
        "rows": rows,
        "rows_validated": validated,
        "expectations": len(results),
        "failed_expectations": [f"{row['table']}.{row['column']}: {row['expectation']}" for row in failed],
    }
    reason = "; ".join(
        f"{row['table']}.{row['column']}: {row['expectation']} ({row['unexpected']} unexpected)" for row in failed[:5]
    )
    return CheckOutcome(not failed, reason, sum(rows.values()), observed, results)


def suites(
    snapshots: pa.Table, transactions: pa.Table, month: Month, settings: Settings, *, mccs: Sequence[int] | None = None
) -> list[tuple[str, Any, list[Any]]]:
    """Return what the check validates: name, pandas frame and expectations of each suite."""
    import great_expectations.expectations as gxe  # noqa: PLC0415 - see _context

    return [
        ("snapshots schema", _schema_frame(snapshots), _of_schema(SNAPSHOTS)(gxe)),
        ("transactions schema", _schema_frame(transactions), _of_schema(TRANSACTIONS)(gxe)),
        ("snapshots", _snapshot_frame(snapshots, ROW_LIMIT), _of_table(snapshots_contract(settings), month, mccs)(gxe)),
        ("transactions", _frame(transactions, ROW_LIMIT), _of_table(transactions_contract(), month, mccs)(gxe)),
    ]


def _of_schema(schema: pa.Schema) -> Build:
    pairs = [(field.name, type_name(field.type)) for field in schema]

    def build(gxe: Any) -> list[Any]:
        return [
            gxe.ExpectColumnDistinctValuesToEqualSet(column="column", value_set=[name for name, _ in pairs]),
            gxe.ExpectColumnValuesToBeUnique(column="column"),
            gxe.ExpectColumnPairValuesToBeInSet(column_A="column", column_B="type", value_pairs_set=pairs),
        ]

    return build


def _of_table(contract: TableContract, month: Month, mccs: Sequence[int] | None) -> Build:
    """Make the expectations of a contract, column by column."""
    required = [field.name for field in contract.schema if not field.nullable and not pa.types.is_list(field.type)]
    columns = dict.fromkeys([*required, *(rule.column for rule in contract.rules)])

    def build(gxe: Any) -> list[Any]:
        expected = [gxe.ExpectTableRowCountToBeBetween(min_value=1)]
        for column in columns:
            if column in required:
                expected.append(gxe.ExpectColumnValuesToNotBeNull(column=column))
            if column == KEY and contract.unique and not contract.order:
                expected.append(gxe.ExpectColumnValuesToBeUnique(column=column))
            for rule in contract.rules:
                if rule.column == column:
                    expected += _expectations(gxe, rule, month, mccs)
            if column in _maybe_nan(contract.schema):
                expected.append(gxe.ExpectColumnValuesToBeInSet(column=f"{column}_is_nan", value_set=[False]))
        return expected

    return build


def _expectations(gxe: Any, rule: Rule, month: Month, mccs: Sequence[int] | None) -> Iterator[Any]:
    column = rule.column
    match rule:
        case Range():
            low, high = max(rule.low, -_LARGEST), min(rule.high, _LARGEST)
            yield gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)
        case OneOf():
            yield gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(rule.values))
        case FirstOfMonth():
            yield gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[month.partition_key])
        case WithinMonth():
            yield gxe.ExpectColumnValuesToBeBetween(
                column=column, min_value=month.start, max_value=month.cutoff, strict_max=True
            )
        case KnownProducts():
            yield gxe.ExpectColumnValuesToBeBetween(column=f"{column}_lowest", min_value=0)
            yield gxe.ExpectColumnValuesToBeBetween(column=f"{column}_highest", max_value=rule.products - 1)
        case AscendingProducts():
            yield gxe.ExpectColumnValuesToBeInSet(column=f"{column}_ascends", value_set=[True])
        case KnownCategory():
            if mccs is None:
                yield gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0)
            else:
                codes = sorted({int(code) for code in mccs})
                yield gxe.ExpectColumnValuesToBeInSet(column=column, value_set=codes)
        case _:
            raise TypeError(f"no expectation of a {type(rule).__name__}")


def _maybe_nan(schema: pa.Schema) -> list[str]:
    """Return the columns in which pandas would take a value that is no number for one that is missing."""
    return [field.name for field in schema if field.nullable and pa.types.is_floating(field.type)]


@cache
def _context() -> Any:
    """Return an in-memory Great Expectations context that draws no progress bars and sends nothing anywhere."""
    import great_expectations as gx  # noqa: PLC0415 - takes seconds to import; only this check needs it
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.variables.analytics_enabled = False
    return context


def _validate(name: str, frame: Any, build: Build) -> list[dict[str, Any]]:
    """Run a suite over a pandas frame and return one row for each expectation."""
    import great_expectations as gx  # noqa: PLC0415 - see _context
    import great_expectations.expectations as gxe  # noqa: PLC0415 - see _context

    context = _context()
    source = context.data_sources.add_or_update_pandas(name=name)
    asset = source.add_dataframe_asset(name=name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
    verdict = batch.validate(gx.ExpectationSuite(name=name, expectations=build(gxe)))
    return [_row(name, result.to_json_dict(), len(frame)) for result in verdict.results]


def _row(table: str, result: dict[str, Any], rows: int) -> dict[str, Any]:
    asked = result["expectation_config"]
    found, wrong = result.get("result") or {}, result.get("exception_info") or {}
    arguments = asked["kwargs"]
    column = arguments.get("column") or arguments.get("column_A") or "*"
    limits = {key: value for key, value in arguments.items() if key in ("min_value", "max_value", "value_set")}
    raised = [entry.get("exception_message") for entry in ([wrong] if "raised_exception" in wrong else wrong.values())]
    return {
        "table": table,
        "column": column,
        "expectation": asked["type"],
        "asked": str(limits)[:200],
        "passed": bool(result["success"]),
        "n": int(found.get("element_count", rows)),
        "unexpected": int(found.get("unexpected_count", 0 if result["success"] else 1)),
        "examples": str([message for message in raised if message] or found.get("partial_unexpected_list", [])[:3]),
    }


def _schema_frame(table: pa.Table) -> Any:
    return pa.table(
        {"column": table.column_names, "type": [type_name(kind) for kind in table.schema.types]}
    ).to_pandas()


def _snapshot_frame(table: pa.Table, limit: int) -> Any:
    """Return the snapshots as a frame, each list of held products told by its ends and its order."""
    held = table["held"].combine_chunks()
    start = held.offsets.to_numpy()
    ids = pc.fill_null(held.values, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.diff(start)
    filled = np.flatnonzero(counts)
    lowest, highest = np.full(len(held), np.nan), np.full(len(held), np.nan)
    ascends = np.ones(len(held), dtype=bool)
    if len(filled):
        bounds = start[:-1][filled]
        lowest[filled] = np.minimum.reduceat(ids, bounds)
        highest[filled] = np.maximum.reduceat(ids, bounds)
        owner = np.repeat(np.arange(len(held)), counts)
        inside = ids[start[0] : start[-1]]
        ascends[owner[1:][(owner[1:] == owner[:-1]) & (inside[1:] <= inside[:-1])]] = False
    plain = table.drop_columns(["held"])
    derived = {
        "held_lowest": lowest,
        "held_highest": highest,
        "held_ascends": ascends,
        **{f"{name}_is_nan": pc.fill_null(pc.is_nan(table[name]), False) for name in _maybe_nan(SNAPSHOTS)},
    }
    for name, values in derived.items():
        plain = plain.append_column(name, pa.array(values) if isinstance(values, np.ndarray) else values)
    return _frame(plain, limit)


def _frame(table: pa.Table, limit: int) -> Any:
    """Return the rows that are validated as a pandas frame: dates as text, integers with nulls as floats."""
    if table.num_rows > limit:
        table = table.take(pa.array(telling_rows(table, limit)))
    for position, field in enumerate(table.schema):
        if pa.types.is_date(field.type):
            table = table.set_column(position, field.name, table[field.name].cast(pa.string()))
    return table.to_pandas()


def telling_rows(table: pa.Table, limit: int) -> np.ndarray:
    """Return ascending positions of about ``limit`` rows that show what is wrong with any row.

    Every k-th row, and for each column a row with its least and its greatest value, one that is null or not a number, one for
    each distinct code (where they are few), and for the customer every row that repeats the one before.
    """
    chosen = [np.arange(0, table.num_rows, -(-table.num_rows // limit))]
    for field in table.schema:
        column = table[field.name].combine_chunks()
        missing = pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False)
        chosen.append(np.flatnonzero(missing)[:1])
        if pa.types.is_floating(field.type) or pa.types.is_timestamp(field.type) or pa.types.is_integer(field.type):
            ends = pc.min_max(column).as_py()
            chosen += [_first(column, end) for end in ends.values() if end is not None]
        if not pa.types.is_floating(field.type) and not field.name.endswith("_id"):
            encoded = column.dictionary_encode()
            if len(encoded.dictionary) <= _CODES:
                codes = pc.fill_null(encoded.indices, -1).to_numpy()
                chosen.append(np.unique(codes, return_index=True)[1])
    ids = table["customer_id"].to_numpy()
    if "ts" not in table.column_names:
        repeated = np.flatnonzero(ids[1:] == ids[:-1])[:limit]
        chosen += [repeated, repeated + 1]
    return np.unique(np.concatenate(chosen))


def _first(column: pa.Array, value: Any) -> np.ndarray:
    at = pc.index(column, pa.scalar(value, column.type)).as_py()
    return np.array([at] if at >= 0 else [], dtype=np.int64)


Inputs = tuple[pa.Table, pa.Table, Month, Settings]
Spoiled = tuple[str, list[Any], pa.DataType | None]


def _named(table: str, spoiled: Spoiled) -> str:
    """Return what a failure must name: the column, or the table's schema where its type was changed."""
    column, _, changed_type = spoiled
    return f"{table}.{column}" if changed_type is None else f"{table} schema"


def canaries(settings: Settings) -> list[tuple[str, Inputs, str | None]]:
    """Return inputs with what the reason of their failure must name: a month that keeps the contract (None), and broken ones."""
    month = settings.dataset.raw_months.first
    snapshots, transactions = _healthy(month, settings)
    far = len(settings.products)
    broken: list[tuple[str, Spoiled]] = [
        ("a customer twice in the month", ("customer_id", [1, 2, 2], None)),
        ("a snapshot of another month", ("snapshot_month", [(month + 1).start.date()] * 3, None)),
        ("an age of 131", ("age", [131, 40, None], None)),
        ("an infinite income", ("income", [float("inf"), 1.0, None], None)),
        ("an income that is no number", ("income", [float("nan"), 1.0, None], None)),
        ("a negative tenure", ("tenure_months", [-1, 5, None], None)),
        ("a segment outside the list", ("segment", ["nobody", None, None], None)),
        ("an unknown product", ("held", [[0, far], [], [0]], None)),
        ("a product held twice", ("held", [[0, 0], [], [0]], None)),
        ("an age as text", ("age", ["30", "40", None], pa.string())),
    ]
    of_transactions: list[tuple[str, Spoiled]] = [
        ("a transaction after its month", ("ts", [month.start, month.start, month.cutoff], None)),
        ("a transaction before its month", ("ts", [(month - 1).start, month.start, month.start], None)),
        ("an infinite amount", ("amount", [float("inf"), 1.0, 1.0], None)),
        ("an amount that is no number", ("amount", [float("nan"), 1.0, 1.0], None)),
        ("a negative category", ("mcc", [-1, 1, 1], None)),
        ("amounts as whole numbers", ("amount", [1, 1, 1], pa.int64())),
    ]
    found = [
        ("a month that keeps the contract", (snapshots, transactions, month, settings), None),
        ("no snapshot", (snapshots.slice(0, 0), transactions, month, settings), NO_EVIDENCE),
        ("no transaction", (snapshots, transactions.slice(0, 0), month, settings), NO_EVIDENCE),
        (
            "a column that the contract has not",
            (snapshots.append_column("phone", pa.array(["1"] * 3)), transactions, month, settings),
            "snapshots schema",
        ),
        (
            "a column that is missing",
            (snapshots.drop_columns(["age"]), transactions, month, settings),
            "snapshots schema",
        ),
    ]
    found += [
        (name, (_with(snapshots, *spoiled), transactions, month, settings), _named("snapshots", spoiled))
        for name, spoiled in broken
    ]
    found += [
        (name, (snapshots, _with(transactions, *spoiled), month, settings), _named("transactions", spoiled))
        for name, spoiled in of_transactions
    ]
    return found


def _with(table: pa.Table, name: str, values: list[Any], kind: pa.DataType | None) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.column_names.index(name), name, pa.array(values, kind or field.type))


def _healthy(month: Month, settings: Settings) -> tuple[pa.Table, pa.Table]:
    snapshots = {
        "customer_id": [1, 2, 3],
        "snapshot_month": [month.start.date()] * 3,
        "age": [30, 130, None],
        "income": [0.0, 1e9, None],
        "tenure_months": [0, 12, None],
        "is_active": [True, False, None],
        "gender": ["female", "male", None],
        "segment": [settings.dataset.segments[0], settings.dataset.segments[-1], None],
        "country": [None] * 3,
        "channel": [None] * 3,
        "held": [[0, len(settings.products) - 1], [], [0]],
    }
    transactions = {
        "customer_id": [1, 1, 3],
        "ts": [month.start, month.start, month.start],
        "amount": [-1.5, 0.0, 2e6],
        "mcc": [1, 2, 3],
        "merchant_id": [None, 7, 8],
    }
    return pa.table(snapshots, schema=SNAPSHOTS), pa.table(transactions, schema=TRANSACTIONS)


def type_name(kind: pa.DataType) -> str:
    """Return a type in words; a list by what it holds, since Parquet renames the field of its elements."""
    return f"list<{kind.value_type}>" if pa.types.is_list(kind) else str(kind)
