"""The data contract: the Arrow schemas of the raw tables, and the rules that each of them must keep.

A rule that is broken becomes one :class:`ContractError` that names the source, the column, the rule, how many rows break it and
three of them. A month comes in pieces of ascending customers; a checker counts over all of them, so the figure is that of the
whole month. Nothing here reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.ingest.conform import EXAMPLES, Violation, Violations, blank_sentinels, check_order, conform
from finai_assets.settings import Settings
from finai_resources.errors import ContractError
from finai_resources.months import Month

# Where `unknown_mcc: other` puts a category that the catalogue does not list; no source may use the code itself.
OTHER_MCC = 0


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SNAPSHOTS = pa.schema(
    [
        _required("customer_id", pa.int64()),
        _required("snapshot_month", pa.date32()),
        pa.field("age", pa.int16()),
        pa.field("income", pa.float64()),
        pa.field("tenure_months", pa.int16()),
        pa.field("is_active", pa.bool_()),
        pa.field("gender", pa.string()),
        pa.field("segment", pa.string()),
        pa.field("country", pa.string()),
        pa.field("channel", pa.string()),
        _required("held", pa.list_(pa.int16())),
    ]
)
TRANSACTIONS = pa.schema(
    [
        _required("customer_id", pa.int64()),
        _required("ts", pa.timestamp("us")),
        _required("amount", pa.float64()),
        _required("mcc", pa.int32()),
        pa.field("merchant_id", pa.int64()),
    ]
)
PRODUCTS = pa.schema(
    [
        _required("product_id", pa.int16()),
        _required("name", pa.string()),
        _required("family", pa.int8()),
        _required("product_class", pa.string()),
        pa.field("risk_grade", pa.int8()),
        _required("terms", pa.string()),
    ]
)
MERCHANT_CATEGORIES = pa.schema(
    [
        _required("mcc", pa.int32()),
        _required("name", pa.string()),
        _required("l2", pa.int16()),
        _required("l1", pa.int8()),
    ]
)
PRODUCT_CLASSES = ("deposit", "loan", "investment", "insurance", "card", "account")


def protected_schema(attributes: Sequence[str]) -> pa.Schema:
    """Return the schema of ``raw/protected_attributes`` with these string columns."""
    return pa.schema([_required("customer_id", pa.int64()), *(pa.field(name, pa.string()) for name in attributes)])


class MonthChecker:
    """Checks the pieces of one month as they stream by, and says at the end what was wrong with all of them.

    A piece that breaks a rule is counted and comes back as far as it could be brought to its schema; it must not be stored:
    :meth:`finish` raises.

    Parameters
    ----------
    month : Month
        Every row belongs to this month.
    mccs : int32 array
        Codes of the catalogue of merchant categories.
    """

    def __init__(self, month: Month, settings: Settings, mccs: np.ndarray) -> None:
        self.month, self.settings = month, settings
        self.mccs = np.unique(np.append(mccs, OTHER_MCC) if settings.dataset.unknown_mcc == "other" else mccs)
        self.violations = Violations()
        self.rows = {"snapshots": 0, "transactions": 0, "protected_attributes": 0}
        self.sources: dict[str, str] = {}
        self._last: dict[str, tuple[int, int]] = {}

    def snapshots(self, table: pa.Table, *, source: str) -> pa.Table:
        """Check a piece of ``raw/snapshots``: see :data:`SNAPSHOTS`, and ``docs/datasets.md`` for the rules."""
        table = conform(blank_sentinels(table, self.settings.dataset.sentinels), SNAPSHOTS, source=source)
        self._ordered("snapshots", table, source)
        months = pc.not_equal(table["snapshot_month"], pa.scalar(self.month.start.date()))
        self._mask(
            "snapshot_month",
            f"snapshot outside {self.month}",
            months,
            table,
            source,
            "deliver the row with its own month",
        )
        for name, low, high in (("age", 0, 130), ("tenure_months", 0, 1500), ("income", 0.0, np.inf)):
            values = table[name].cast(pa.float64())
            outside = pc.or_(pc.or_(pc.less(values, low), pc.greater(values, high)), pc.invert(pc.is_finite(values)))
            rule = f"value outside {low:g}..{high:g} or not finite"
            self._mask(
                name,
                rule,
                outside,
                table,
                source,
                f"a missing {name} is null; list a marker in dataset.sentinels.{name}",
            )
        if self.settings.dataset.segments:
            known = pc.is_in(table["segment"], value_set=pa.array(self.settings.dataset.segments, pa.string()))
            strange = pc.and_(pc.invert(known), pc.is_valid(table["segment"]))
            self._mask(
                "segment", "unknown segment", strange, table, source, "add it to dataset.segments, in order of value"
            )
        self._held(table, source)
        return table

    def _held(self, table: pa.Table, source: str) -> None:
        column = table["held"].combine_chunks()
        flat = column.flatten()
        owner = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        ids = pc.fill_null(flat, -1).to_numpy(zero_copy_only=False)
        broken = np.zeros(len(table), dtype=bool)
        broken[owner[(ids < 0) | (ids >= len(self.settings.products))]] = True
        self._mask(
            "held", "unknown product id", broken, table, source, "use the ids of the product catalogue, dense from 0"
        )
        repeated = np.zeros(len(table), dtype=bool)
        repeated[owner[1:][(owner[1:] == owner[:-1]) & (ids[1:] <= ids[:-1])]] = True
        self._mask(
            "held",
            "product ids not ascending and distinct",
            repeated,
            table,
            source,
            "list each held product once, ascending",
        )

    def transactions(self, table: pa.Table, *, source: str) -> pa.Table:
        """Check a piece of ``raw/transactions``; an unknown MCC becomes :data:`OTHER_MCC` where the settings say so."""
        table = conform(blank_sentinels(table, self.settings.dataset.sentinels), TRANSACTIONS, source=source)
        ts = table["ts"].cast(pa.int64()).to_numpy()
        self._ordered("transactions", table, source, ts)
        fix = (
            f"deliver it with its own month, or correct its time; {self.month} ends before {self.month.cutoff:%Y-%m-%d}"
        )
        early, late = ts < self.month.start_us, ts >= self.month.cutoff_us
        self._mask("ts", f"transaction outside its month (before {self.month})", early, table, source, fix)
        self._mask("ts", f"transaction outside its month (in the future of {self.month})", late, table, source, fix)
        infinite = ~np.isfinite(table["amount"].to_numpy())
        self._mask(
            "amount", "amount is not finite", infinite, table, source, "correct the amount, or leave the row out"
        )
        mcc = table["mcc"].to_numpy()
        unknown = ~np.isin(mcc, self.mccs)
        if self.settings.dataset.unknown_mcc == "other":
            codes = pa.array(np.where(unknown, OTHER_MCC, mcc), pa.int32())
            return table.set_column(table.column_names.index("mcc"), TRANSACTIONS.field("mcc"), codes)
        fix = "add the code to the merchant categories, or set dataset.unknown_mcc: other"
        self._mask("mcc", "unknown MCC", unknown, table, source, fix)
        return table

    def protected(self, table: pa.Table, *, source: str) -> pa.Table:
        """Check a piece of ``raw/protected_attributes``: a customer and any number of text columns."""
        attributes = [name for name in table.column_names if name != "customer_id"]
        table = conform(table, protected_schema(attributes), source=source)
        self._ordered("protected_attributes", table, source)
        return table

    def finish(self, tables: Sequence[str] = ("snapshots", "transactions")) -> None:
        """Raise what was found, a table without rows included.

        Raises
        ------
        ContractError
            A rule is broken in at least one piece, or one of the tables is empty.
        """
        self.violations.raise_if_any()
        for name in tables:
            if not self.rows[name]:
                column = {"snapshots": "snapshot_month", "transactions": "ts"}.get(name, "customer_id")
                raise ContractError(
                    f"empty month: 0 rows of {name} for {self.month}",
                    where=f"{self.sources.get(name, self.settings.dataset.name)}, column {column}",
                    fix="deliver the month, or take it out of dataset.raw_months",
                )

    def _mask(self, column: str, rule: str, broken: object, table: pa.Table, source: str, fix: str) -> None:
        rows = broken if isinstance(broken, np.ndarray) else pc.fill_null(broken, False).to_numpy()
        self.violations.mask(Violation(source, column, rule, fix), rows, table, ["customer_id", column])

    def _ordered(self, name: str, table: pa.Table, source: str, ts: np.ndarray | None = None) -> None:
        """Check that customers ascend (and, where there are times, times within a customer), across pieces too."""
        self.rows[name] += len(table)
        self.sources[name] = source
        if not len(table):
            return
        ids = table["customer_id"].to_numpy()
        last, last_ts = self._last.get(name, (None, 0))
        check_order(ids, last, table, source=source, unique=ts is None, out=self.violations)
        if ts is not None:
            same = np.concatenate([[ids[0] == last], ids[1:] == ids[:-1]])
            earlier = same & (ts < np.concatenate([[last_ts], ts[:-1]]))
            fix = "sort the source by customer_id, then ts"
            self._mask("ts", "times within a customer do not ascend", earlier, table, source, fix)
        self._last[name] = (int(ids[-1]), 0 if ts is None else int(ts[-1]))


def check_snapshots(table: pa.Table, *, month: Month, settings: Settings, source: str) -> pa.Table:
    """Check a whole month of snapshots; return it with the contract's schema.

    Raises
    ------
    ContractError
        A rule is broken, or there is no row.
    """
    checker = MonthChecker(month, settings, np.empty(0, dtype=np.int32))
    checked = checker.snapshots(table, source=source)
    checker.finish(["snapshots"])
    return checked


def check_transactions(table: pa.Table, *, month: Month, settings: Settings, mccs: np.ndarray, source: str) -> pa.Table:
    """Check a whole month of transactions; return it with the contract's schema.

    Raises
    ------
    ContractError
        A rule is broken, or there is no row.
    """
    checker = MonthChecker(month, settings, mccs)
    checked = checker.transactions(table, source=source)
    checker.finish(["transactions"])
    return checked


def check_products(table: pa.Table, *, settings: Settings, source: str) -> pa.Table:
    """Check the product catalogue: ids dense from 0, families, classes and risk grades as the settings allow.

    Raises
    ------
    ContractError
        A rule is broken, or the table is empty.
    """
    table = conform(table, PRODUCTS, source=source)
    out = Violations()
    expected = np.arange(len(table))
    ids = table["product_id"].to_numpy()
    family = table["family"].to_numpy()
    grade = pc.fill_null(table["risk_grade"], 1).to_numpy()
    classes = pc.is_in(table["product_class"], value_set=pa.array(PRODUCT_CLASSES)).to_numpy()
    n_families = len(settings.families)
    for column, rule, broken in (
        ("product_id", "product ids are not dense from 0", ids != expected),
        ("family", f"family outside 0..{n_families - 1}", (family < 0) | (family >= n_families)),
        ("risk_grade", "risk grade outside 1..6", (grade < 1) | (grade > 6)),
        ("product_class", f"product class not one of {', '.join(PRODUCT_CLASSES)}", ~classes),
    ):
        fix = "correct the catalogue in the data set's YAML"
        out.mask(Violation(source, column, rule, fix), broken, table, ["name", column])
    out.raise_if_any()
    if len(table) != len(settings.products):
        raise ContractError(
            f"the catalogue has {len(table)} rows, the settings name {len(settings.products)} products",
            where=f"{source}, column product_id",
            fix="list every product once under `products`",
        )
    return table


def check_merchant_categories(table: pa.Table, *, settings: Settings, source: str) -> pa.Table:
    """Check the tree of merchant categories, and add the leaf for unknown codes where the settings ask for it.

    Raises
    ------
    ContractError
        A code occurs twice or is not positive, one l2 lies under two l1, or the table is empty.
    """
    table = conform(table, MERCHANT_CATEGORIES, source=source)
    if not len(table):
        raise ContractError(
            "0 rows of merchant categories", where=f"{source}, column mcc", fix="list at least one category"
        )
    out = Violations()
    mcc, l1, l2 = (table[name].to_numpy() for name in ("mcc", "l1", "l2"))
    first = np.zeros(len(table), dtype=bool)
    first[np.unique(mcc, return_index=True)[1]] = True
    parent = {int(child): int(above) for child, above in zip(l2[::-1], l1[::-1], strict=True)}
    moved = np.array([parent[int(child)] != above for child, above in zip(l2, l1, strict=True)])
    for column, rule, broken in (
        ("mcc", "duplicate code", ~first),
        ("mcc", f"code is not positive ({OTHER_MCC} stands for unknown ones)", mcc <= OTHER_MCC),
        ("l2", "l2 category under two l1 categories", moved),
    ):
        out.mask(Violation(source, column, rule, "correct the table of categories"), broken, table, ["mcc", column])
    out.raise_if_any()
    if settings.dataset.unknown_mcc == "other":
        row = {"mcc": OTHER_MCC, "name": "Other", "l2": int(l2.max()) + 1, "l1": int(l1.max()) + 1}
        table = pa.concat_tables([table, pa.Table.from_pylist([row], schema=MERCHANT_CATEGORIES)])
    return table.sort_by("mcc")


def check_months(available: Iterable[Month], first: Month, last: Month, *, source: str) -> None:
    """Refuse a source that has months before and after a month that it lacks.

    Raises
    ------
    ContractError
        A month within ``first..last`` is missing between two that are there.
    """
    have = {month for month in available if first <= month <= last}
    if not have:
        raise ContractError(
            f"the source holds no month of {first}..{last} (0 rows)",
            where=f"{source}, column month",
            fix="set dataset.raw_months to the months that the source covers",
        )
    span = range(min(have).ordinal, max(have).ordinal + 1)
    gaps = [Month(ordinal).key for ordinal in span if Month(ordinal) not in have]
    if gaps:
        raise ContractError(
            f"month missing in the middle: {len(gaps)} of {len(span)} have no rows, for example {', '.join(gaps[:EXAMPLES])}",
            where=f"{source}, column month",
            fix="deliver the missing months, or shorten dataset.raw_months to a span without a gap",
        )
