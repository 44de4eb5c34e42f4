"""Checks tables against the data contract, as they come from a source.

A rule that is broken becomes one :class:`ContractError` that names the source, the column, the rule, how many rows break it and
three of them. A month comes in pieces of ascending customers; a checker counts over all of them, so the figure is that of the
whole month. Nothing here reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.ingest.conform import EXAMPLES, Violation, Violations, blank_sentinels, check_order, conform
from finai_assets.ingest.contract import (
    KEY,
    MERCHANT_CATEGORIES,
    OTHER_MCC,
    PRODUCT_CLASSES,
    PRODUCT_TERMS,
    PRODUCTS,
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
    protected_contract,
    snapshots_contract,
    transactions_contract,
)
from finai_assets.settings import Settings
from finai_resources.errors import ContractError
from finai_resources.months import Month


class MonthChecker:
    """Checks the pieces of one month as they stream by, and reports the violations of all pieces at the end.

    A piece that breaks a rule is counted and returned, converted to its schema as far as possible; it must not be stored:
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
        self.rows: dict[str, int] = {}
        self.offers = {contract.name: contract for contract in offer_contracts(settings)}
        self.sources: dict[str, str] = {}
        self._last: dict[str, tuple[int, object]] = {}

    def snapshots(self, table: pa.Table, *, source: str) -> pa.Table:
        """Check a piece of ``raw/snapshots``."""
        rules = snapshots_contract(self.settings)
        table = conform(blank_sentinels(table, self.settings.dataset.sentinels), rules.schema, source=source)
        return self._keep(rules, table, source)

    def transactions(self, table: pa.Table, *, source: str) -> pa.Table:
        """Check a piece of ``raw/transactions``; an unknown MCC becomes :data:`OTHER_MCC` where the settings say so."""
        rules = transactions_contract()
        table = conform(blank_sentinels(table, self.settings.dataset.sentinels), rules.schema, source=source)
        if self.settings.dataset.unknown_mcc == "other":
            mcc = table["mcc"].to_numpy()
            codes = pa.array(np.where(np.isin(mcc, self.mccs), mcc, OTHER_MCC), pa.int32())
            table = table.set_column(table.column_names.index("mcc"), rules.schema.field("mcc"), codes)
        return self._keep(rules, table, source)

    def protected(self, table: pa.Table, *, source: str) -> pa.Table:
        """Check a piece of ``raw/protected_attributes``: a customer and any number of text columns."""
        rules = protected_contract([name for name in table.column_names if name != KEY])
        return self._keep(rules, conform(table, rules.schema, source=source), source)

    def offer(self, name: str, table: pa.Table, *, source: str) -> pa.Table:
        """Check a piece of one of the tables for offering: ``risk_profiles``, ``consents``, ``contacts``, ``asset_bands``."""
        rules = self.offers[name]
        return self._keep(rules, conform(table, rules.schema, source=source), source)

    def _keep(self, rules: TableContract, table: pa.Table, source: str) -> pa.Table:
        """Count the rows of a table that break a rule; return the table."""
        self._ordered(rules, table, source)
        for rule in rules.rules:
            for text, broken in self._broken(rule, table):
                named = {"month": self.month, "end": f"{self.month.cutoff:%Y-%m-%d}"}
                violation = Violation(source, rule.column, text.format(**named), rule.fix.format(**named))
                shown = dict.fromkeys([KEY, rule.column, *([rule.other] if isinstance(rule, After | OnlyWith) else [])])
                self.violations.mask(violation, broken, table, list(shown))
        return table

    def _broken(self, rule: Rule, table: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the text of each violation and the rows that it concerns, bool [n]."""
        column = table[rule.column]
        match rule:
            case FirstOfMonth():
                yield rule.text, _rows_where(pc.not_equal(column, pa.scalar(self.month.start.date())))
            case WithinMonth():
                ts = column.cast(pa.int64())
                yield rule.text, _rows_where(pc.less(ts, self.month.start_us))
                yield rule.late, _rows_where(pc.greater_equal(ts, self.month.cutoff_us))
            case Range():
                values = column.cast(pa.float64())
                outside = pc.or_(pc.less(values, rule.low), pc.greater(values, rule.high))
                yield rule.text, _rows_where(pc.or_(outside, pc.invert(pc.is_finite(values))))
            case OneOf():
                known = pc.is_in(column, value_set=pa.array(rule.values, pa.string()))
                yield rule.text, _rows_where(pc.and_(pc.invert(known), pc.is_valid(column)))
            case KnownCategory():
                yield rule.text, ~np.isin(column.to_numpy(), self.mccs)
            case BeforeCutoff():
                cutoff = pa.scalar(self.month.cutoff.date(), pa.date32())
                yield rule.text, _rows_where(pc.greater_equal(column, cutoff))
            case After():
                too_early = pc.less if rule.or_same else pc.less_equal
                yield rule.text, _rows_where(too_early(column, table[rule.other]))
            case OnlyWith():
                wanted = pc.equal(table[rule.other], rule.value)
                yield rule.text, _rows_where(pc.xor(wanted, pc.is_valid(column)))
            case KnownProducts():
                ids, owner = _listed(column)
                yield rule.text, _owners(owner[(ids < 0) | (ids >= rule.products)], table)
            case AscendingProducts():
                ids, owner = _listed(column)
                yield rule.text, _owners(owner[1:][(owner[1:] == owner[:-1]) & (ids[1:] <= ids[:-1])], table)
            case _:
                raise TypeError(f"no check of a {type(rule).__name__}")

    def finish(self, tables: Sequence[str] = ("snapshots", "transactions")) -> None:
        """Raise if a piece broke a rule or a table has no rows.

        Raises
        ------
        ContractError
            A rule is broken in at least one piece, or one of the tables is empty.
        """
        self.violations.raise_if_any()
        for name in tables:
            if not self.rows.get(name):
                column = {"snapshots": "snapshot_month", "transactions": "ts"}.get(name, "customer_id")
                raise ContractError(
                    f"empty month: 0 rows of {name} for {self.month}",
                    where=f"{self.sources.get(name, self.settings.dataset.name)}, column {column}",
                    fix="deliver the month, or take it out of dataset.raw_months",
                )

    def _ordered(self, rules: TableContract, table: pa.Table, source: str) -> None:
        """Check that customers ascend (and, where they have several rows, times within a customer), across pieces too."""
        self.rows[rules.name] = self.rows.get(rules.name, 0) + len(table)
        self.sources[rules.name] = source
        if not len(table):
            return
        ids = table[KEY].to_numpy()
        last, last_key = self._last.get(rules.name, (None, None))
        alone = rules.unique and not rules.order
        check_order(ids, last, table, source=source, unique=alone, out=self.violations)
        if rules.order:
            same = np.concatenate([[ids[0] == last], ids[1:] == ids[:-1]])
            last_key = self._within_customers(rules, table, source, same, last_key)
        self._last[rules.name] = (int(ids[-1]), last_key)

    def _within_customers(
        self, rules: TableContract, table: pa.Table, source: str, same: np.ndarray, last_key: object
    ) -> object:
        """Check that the rows of a customer ascend by the contract's order; return the key of the last row.

        ``same`` [n] tells whether a row is of the customer of the row before.
        """
        keys = _order_keys(table, rules.order)
        before = np.concatenate([keys[:1] if last_key is None else [last_key], keys[:-1]])
        by, shown = ", ".join(rules.order), [KEY, *rules.order]
        rule = (
            "times within a customer do not ascend"
            if rules.order == ("ts",)
            else f"rows of a customer do not ascend by {by}"
        )
        disorder = Violation(source, rules.order[0], rule, f"sort the source by {KEY}, then {by}")
        self.violations.mask(disorder, same & (keys < before), table, shown)
        if rules.unique:
            fix = "deliver one row of them, as it stands at the month's end"
            twice = Violation(source, rules.order[0], f"contradictory rows of one customer, {by}", fix)
            self.violations.mask(twice, same & (keys == before), table, shown)
        return keys[-1]


def _rows_where(mask: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(mask, False).to_numpy())


def _order_keys(table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """Return one comparable key for each row [n]: microseconds of ``ts``, else a text in which null precedes every value."""
    if columns == ("ts",):
        return np.asarray(table["ts"].cast(pa.int64()).to_numpy())
    texts = [pc.fill_null(table[name], "") for name in columns]
    return np.asarray(pc.binary_join_element_wise(*texts, "\t").to_numpy(), dtype=object)


def _listed(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the product ids of all lists, -1 for null, and the row of each."""
    lists = column.combine_chunks()
    ids = pc.fill_null(lists.flatten(), -1).to_numpy(zero_copy_only=False)
    return ids, pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)


def _owners(rows: np.ndarray, table: pa.Table) -> np.ndarray:
    marked = np.zeros(len(table), dtype=bool)
    marked[rows] = True
    return marked


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


def check_product_terms(table: pa.Table, *, settings: Settings, source: str) -> pa.Table:
    """Check the terms of the products: a row for each, ages and rates in order, periods, bands and categories that exist.

    Raises
    ------
    ContractError
        A rule is broken.
    """
    table = conform(table, PRODUCT_TERMS, source=source)
    out = Violations()
    low, high, period = (table[name] for name in ("rate_low", "rate_high", "period_months"))
    rated = pc.or_(pc.is_valid(low), pc.is_valid(high))
    endless = pc.and_(rated, pc.and_(pc.is_null(period), pc.invert(table["open_ended"])))
    categories = {name for category in settings.merchant_categories for name in (category.l2, category.l1)}
    strange = [any(b["category"] not in categories for b in row) for row in table["benefits"].to_pylist()]
    bands = pa.array(settings.dataset.asset_bands, pa.string())
    band = table["minimum_asset_band"]
    for column, rule, broken in (
        ("period_months", "a rate without a period, and not open_ended", endless),
        ("rate_low", "a rate without its other end", pc.xor(pc.is_valid(low), pc.is_valid(high))),
        ("rate_low", "rate_low above rate_high", pc.greater(low, high)),
        ("minimum_age", "minimum_age above maximum_age", pc.greater(table["minimum_age"], table["maximum_age"])),
        ("minimum_asset_band", "unknown asset band", pc.and_(pc.is_valid(band), pc.invert(pc.is_in(band, value_set=bands)))),
        ("benefits", "benefit in an unknown merchant category", pa.chunked_array([strange], pa.bool_())),
    ):  # fmt: skip
        fix = "correct products[].terms in the data set's YAML"
        out.mask(Violation(source, column, rule, fix), _rows_where(broken), table, ["product_id", column])
    out.raise_if_any()
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
    """Refuse a source that lacks a month between two months that it has.

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
