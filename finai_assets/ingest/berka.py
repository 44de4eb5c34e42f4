"""The Berka adapter (PKDD'99): accounts as customers, dated products, a balance tier as segment, thirteen categories as MCC.

Everything of a month is computed from rows dated before its cutoff. What each column stands for, and what the tables cannot
carry, is in ``docs/datasets.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.ingest.adapter import FileDigest, MonthTables, Piece, product_catalogue
from finai_assets.ingest.berka_codes import AGE_BANDS, CATEGORIES, LOAN_PRODUCT, PAYMENT_PRODUCT
from finai_assets.ingest.berka_source import COLUMNS, BerkaSource, month_of, read_source
from finai_assets.ingest.contract import MERCHANT_CATEGORIES, SNAPSHOTS, TRANSACTIONS, protected_contract
from finai_assets.ingest.files import file_sha256, find_file, source_columns, source_folder
from finai_assets.ingest.pseudonym import witness
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

_NEVER = np.iinfo(np.int64).max
_DAY_US = 86_400_000_000


class BerkaAdapter:
    """The tables in a folder, as published or as the translated excerpt.

    Parameters
    ----------
    key : bytes
        Pseudonym key.
    session
        Not needed: the tables lie in files.

    Raises
    ------
    ConfigError
        The settings name no folder, no thresholds of the segments, or lack a product that the tables date.
    ContractError
        A file is missing or bad.
    """

    def __init__(self, settings: Settings, key: bytes, session: LakeSession | None = None) -> None:
        self.settings, self._key = settings, key
        self.name = "berka"
        self.folder = source_folder(settings.dataset.source)
        self.thresholds = np.array(settings.dataset.segment_thresholds, dtype=np.float64)
        if not len(self.thresholds):
            raise ConfigError(
                "the segment is a tier of the month's mean balance, but no bounds are given",
                where="dataset.segment_thresholds",
                fix="give one ascending bound fewer than there are segments",
            )
        self._files = self.current_files(settings, file_sha256)
        self.source = read_source(self.folder, key, unknown_category=settings.dataset.unknown_mcc)
        self._held_from, self._held_until = _product_months(self.source, settings)
        self._first_day = np.full(len(self.source.customer), _NEVER)
        np.minimum.at(self._first_day, self.source.trans_at, self.source.day)

    def months(self) -> list[Month]:
        """Return the months in which there is a transaction."""
        return [Month(int(ordinal)) for ordinal in np.unique(month_of(self.source.day))]

    def pseudonym_witness(self) -> dict[str, Any]:
        """Return the witness of the key that turned account numbers into tokens."""
        return witness(self._key)

    def products(self) -> pa.Table:
        """Return the catalogue of the settings."""
        return product_catalogue(self.settings)

    def merchant_categories(self) -> pa.Table:
        """Return the thirteen pairs of operation and purpose as leaves of their tree."""
        rows = [{"mcc": leaf.code, "name": leaf.name, "l2": leaf.l2, "l1": leaf.l1} for leaf in CATEGORIES]
        return pa.Table.from_pylist(rows, schema=MERCHANT_CATEGORIES)

    @classmethod
    def current_files(cls, settings: Settings, digest: FileDigest) -> dict[str, str]:
        """Return the SHA-256 of each of the seven files."""
        folder = source_folder(settings.dataset.source)
        return {path.name: digest(path) for path in (find_file(folder, table) for table in COLUMNS)}

    def source_files(self) -> dict[str, str]:
        """Return the SHA-256 of each of the seven files, taken before they were read."""
        return self._files

    def source_schema(self) -> dict[str, dict[str, str]]:
        """Return the columns of each of the seven files."""
        return {table: source_columns(find_file(self.folder, table)) for table in COLUMNS}

    def month(self, month: Month) -> MonthTables:
        """Return one month in blocks of customers."""
        present = np.flatnonzero(self._first_day < _day(month + 1))
        size = self.settings.lake.block_customers
        blocks = [present[low : low + size] for low in range(0, len(present), size)]
        return MonthTables(
            snapshots=self._snapshots(month, blocks),
            transactions=self._transactions(month, blocks),
            protected=self._protected(month, blocks),
        )

    def _snapshots(self, month: Month, blocks: list[np.ndarray]) -> Iterator[Piece]:
        source = self.source
        segments = np.array(self.settings.dataset.segments, dtype=object)
        tier = np.searchsorted(self.thresholds, self.mean_balance(month), side="right")
        held = (self._held_from <= month.ordinal) & (self._held_until > month.ordinal)
        for at in blocks:
            counts = held[at].sum(axis=1)
            ids = np.nonzero(held[at])[1].astype(np.int16)
            columns = {
                "customer_id": source.customer[at],
                "snapshot_month": np.full(len(at), month.start.date(), dtype=object),
                "age": self.ages(month)[at],
                "income": None,
                "tenure_months": month.ordinal - month_of(source.opened[at]),
                "is_active": None,
                "gender": source.gender[at],
                "segment": segments[tier[at]],
                "country": None,
                "channel": None,
                "held": pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), ids),
            }
            arrays = [_array(columns[field.name], field.type, len(at)) for field in SNAPSHOTS]
            yield Piece("account + client + disp + loan + card + trans", pa.Table.from_arrays(arrays, schema=SNAPSHOTS))

    def _transactions(self, month: Month, blocks: list[np.ndarray]) -> Iterator[Piece]:
        source = self.source
        inside = np.flatnonzero((source.day >= _day(month)) & (source.day < _day(month + 1)))
        for at in blocks:
            low, high = np.searchsorted(source.trans_at[inside], [at[0], at[-1] + 1])
            rows = inside[low:high]
            columns = {
                "customer_id": source.customer[source.trans_at[rows]],
                "ts": (source.day[rows] * _DAY_US).astype("datetime64[us]"),
                "amount": source.amount[rows],
                "mcc": source.category[rows],
                "merchant_id": None,
            }
            arrays = [_array(columns[field.name], field.type, len(rows)) for field in TRANSACTIONS]
            yield Piece(find_file(self.folder, "trans").name, pa.Table.from_arrays(arrays, schema=TRANSACTIONS))

    def _protected(self, month: Month, blocks: list[np.ndarray]) -> Iterator[Piece]:
        schema = protected_contract(["gender", "age_band", "region"]).schema
        lows, names = np.array([low for low, _ in AGE_BANDS]), np.array([name for _, name in AGE_BANDS], dtype=object)
        for at in blocks:
            ages = self.ages(month)[at]
            band = [None if age is None else names[np.searchsorted(lows, age, side="right") - 1] for age in ages]
            columns = [self.source.customer[at], self.source.gender[at], band, self.source.region[at]]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            yield Piece("client + disp + district", pa.Table.from_arrays(arrays, schema=schema))

    def ages(self, month: Month) -> np.ndarray:
        """Return the owner's age in completed years on the month's last day, as objects; None where unknown."""
        year, born_month, _ = self.source.birth_ymd.T
        last_day = month.start  # any day of the month will do: every birthday of the month has passed on its last day
        age = last_day.year - year - (born_month > last_day.month)
        return np.asarray(np.where(year > 0, age.astype(object), None))

    def mean_balance(self, month: Month) -> np.ndarray:
        """Return the mean daily balance of the month (CZK) of every account, from its first transaction on.

        The balance is the sum of the signed amounts since the account's first transaction, which does not depend on the order of
        postings within a day. NaN where the account has no transaction before the cutoff.
        """
        source, start, cutoff = self.source, _day(month), _day(month + 1)
        past = source.day < cutoff
        at, amount = source.trans_at[past], source.amount[past]
        weight = cutoff - np.maximum(source.day[past], start)
        total = np.bincount(at, weights=amount * weight, minlength=len(source.customer))
        days = (cutoff - np.maximum(self._first_day, start)).astype(np.float64)
        return np.asarray(np.divide(total, days, out=np.full(len(total), np.nan), where=days > 0))


def _product_months(source: BerkaSource, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the first month in which each account holds each product, and the first in which it no longer does."""
    shape = (len(source.customer), len(settings.products))
    first, until = np.full(shape, _NEVER), np.full(shape, _NEVER)
    ids = settings.product_ids

    def column(code: str) -> int:
        if code not in ids:
            raise ConfigError(
                f"the Berka tables date a product {code!r}", where="products", fix="add it to the catalogue"
            )
        return ids[code]

    everyone = np.arange(shape[0])
    first[everyone, [column(code) for code in source.statement]] = month_of(source.opened)
    for code in np.unique(source.card_product.astype(str)):
        of_kind = source.card_product == code
        np.minimum.at(first[:, column(code)], source.card_at[of_kind], source.card_month[of_kind])
    loan = column(LOAN_PRODUCT)
    np.minimum.at(first[:, loan], source.loan_at, source.loan_month)
    until[source.loan_at, loan] = source.loan_month + source.loan_duration
    for code, categories in PAYMENT_PRODUCT.items():
        paid = np.isin(source.category, categories)
        np.minimum.at(first[:, column(code)], source.trans_at[paid], month_of(source.day[paid]))
    return first, until


def _day(month: Month) -> int:
    return month.start_us // _DAY_US


def _array(values: object, kind: pa.DataType, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, kind)
    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array(values, from_pandas=False).cast(kind)
