"""C05: the raw tables of a month keep the data contract, as a Great Expectations suite.

Ingest refuses bad rows before they are written; this check looks at what was written. It is made from the same statement of the
rules, and Great Expectations judges by it with code of its own, so that one mistake in the first does not go unseen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.ingest.contract import (
    KEY,
    SNAPSHOTS,
    After,
    AscendingProducts,
    BeforeCutoff,
    FirstOfMonth,
    KnownCategory,
    KnownProducts,
    OneOf,
    OnlyWith,
    Range,
    Rule,
    TableContract,
    WithinMonth,
    offer_contracts,
    snapshots_contract,
    transactions_contract,
)
from finai_assets.settings import Settings
from finai_checks.framework.check import CheckOutcome
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
    transactions: pa.Table | None,
    month: Month,
    settings: Settings,
    offers: Mapping[str, pa.Table] | None = None,
    *,
    mccs: Sequence[int] | None = None,
    row_limit: int = ROW_LIMIT,
) -> CheckOutcome:
    """Validate a month of ``raw/snapshots`` and ``raw/transactions``, and of the tables for offering.

    Parameters
    ----------
    transactions
        None where the data set has none.
    offers
        The month's tables for offering by name, those that are to be validated; any of them may be empty.
    mccs
        Codes of the catalogue; where they are not given, any code that is not negative will do.
    row_limit
        Rows of each table that are validated.

    Returns
    -------
    CheckOutcome
        ``n`` counts the rows of all tables; ``observed`` gives rows in all, rows validated and expectations by table; ``table``
        has one row for each expectation. No snapshot or no transaction is no evidence.
    """
    lines = {} if transactions is None else {"transactions": transactions}
    tables = {"snapshots": snapshots, **lines, **(offers or {})}
    contracts = _contracts(settings, tables)
    rows = {name: table.num_rows for name, table in tables.items()}
    if not all(rows[name] for name in ("snapshots", *lines)):
        return CheckOutcome.no_evidence(rows=rows)
    results = [
        row
        for contract, table in zip(contracts, tables.values(), strict=True)
        for row in _validate(f"{contract.name} schema", _schema_frame(table), _of_schema(contract.schema))
    ]
    validated = dict.fromkeys(tables, 0)
    if all(row["passed"] for row in results):  # the values of a table with another schema cannot be judged
        for contract, table in zip(contracts, tables.values(), strict=True):
            frame = _frame_of(contract, table, row_limit)
            validated[contract.name] = len(frame)
            results += _validate(contract.name, frame, _of_table(contract, month, mccs))
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
    tables: Mapping[str, pa.Table], month: Month, settings: Settings, *, mccs: Sequence[int] | None = None
) -> list[tuple[str, Any, list[Any]]]:
    """Return what the check validates: name, pandas frame and expectations of each suite; ``tables`` are a month's, by name."""
    import great_expectations.expectations as gxe  # noqa: PLC0415 - see _context

    pairs = list(zip(_contracts(settings, tables), tables.values(), strict=True))
    return [
        *((f"{of.name} schema", _schema_frame(table), _of_schema(of.schema)(gxe)) for of, table in pairs),
        *((of.name, _frame_of(of, table, ROW_LIMIT), _of_table(of, month, mccs)(gxe)) for of, table in pairs),
    ]


def _contracts(settings: Settings, names: Iterable[str]) -> list[TableContract]:
    every = (snapshots_contract(settings), transactions_contract(), *offer_contracts(settings))
    known = {contract.name: contract for contract in every}
    return [known[name] for name in names]


def _frame_of(contract: TableContract, table: pa.Table, limit: int) -> Any:
    if contract.schema is SNAPSHOTS:
        return _snapshot_frame(table, limit)
    kinds = [pa.timestamp("us") if pa.types.is_date(kind) else kind for kind in table.schema.types]  # for comparisons
    return _frame(table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True)))), limit)


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
        expected = [gxe.ExpectTableRowCountToBeBetween(min_value=1)] if contract.filled else []
        if contract.unique and contract.order:
            expected.append(gxe.ExpectCompoundColumnsToBeUnique(column_list=[KEY, *contract.order]))
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
                column=column, min_value=month.start_us, max_value=month.cutoff_us, strict_max=True
            )
        case BeforeCutoff():
            yield gxe.ExpectColumnValuesToBeBetween(column=column, max_value=month.cutoff_us, strict_max=True)
        case After():
            yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=column, column_B=rule.other, or_equal=rule.or_same, ignore_row_if="either_value_is_missing"
            )
        case OnlyWith():
            only = {"condition_parser": "pandas", "row_condition": f'{rule.other} == "{rule.value}"'}
            others = {"condition_parser": "pandas", "row_condition": f'{rule.other} != "{rule.value}"'}
            yield gxe.ExpectColumnValuesToNotBeNull(column=column, **only)
            yield gxe.ExpectColumnValuesToBeNull(column=column, **others)
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
    column = arguments.get("column") or arguments.get("column_A") or ", ".join(arguments.get("column_list", "*"))
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
    """Return the rows that are validated as a pandas frame: dates as text, integers with nulls as floats.

    Times are microseconds since 1970, exact as floats too: Great Expectations compares times value by value in Python.
    """
    if table.num_rows > limit:
        table = table.take(pa.array(telling_rows(table, limit)))
    for position, field in enumerate(table.schema):
        if pa.types.is_date(field.type):
            table = table.set_column(position, field.name, table[field.name].cast(pa.string()))
        elif pa.types.is_timestamp(field.type):
            table = table.set_column(position, field.name, table[field.name].cast(pa.timestamp("us")).cast(pa.int64()))
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


def type_name(kind: pa.DataType) -> str:
    """Return a type in words; a list by what it holds, since Parquet renames the field of its elements."""
    return f"list<{kind.value_type}>" if pa.types.is_list(kind) else str(kind)
