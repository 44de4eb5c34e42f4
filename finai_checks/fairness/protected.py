"""Protected attributes beside the rows of a training matrix, and the columns that are exact proxies of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finai_assets.asset_graph import PROTECTED
from finai_assets.features.sampling import customer_hash, lowest
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.lake_session import LakeSession

ASSET = PROTECTED
_MISSING = float(np.finfo(np.float32).min)  # lower than any value of a feature


@dataclass(frozen=True, slots=True)
class Attribute:
    """A protected attribute of some rows: ``codes`` int64 [n] number the ``groups``, -1 where it is unknown."""

    name: str
    groups: tuple[str, ...]
    codes: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Return bool [n]."""
        return self.codes >= 0

    def sizes(self) -> np.ndarray:
        """Return the rows of each group, int64 [groups]."""
        return np.bincount(self.codes[self.known], minlength=len(self.groups))


@dataclass(frozen=True, slots=True)
class ProtectedRows:
    """Rows of a matrix, one a customer, with their attributes."""

    rows: np.ndarray
    customer: np.ndarray
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A column that determines an attribute, or one of its groups against the rest, and is determined by it.

    ``both_ways`` is the smaller one of Goodman and Kruskal's lambdas: the share of errors in guessing the one that knowing the
    other takes away.
    """

    column: str
    attribute: str
    group: str | None
    both_ways: float

    def sentence(self) -> str:
        """Return the finding in words."""
        carried = f"{self.attribute} = {self.group}" if self.group else self.attribute
        return f"{self.column} is {carried} under another name (lambda {self.both_ways:.2f})"


def protected_rows(session: LakeSession, matrix: TrainingMatrix, *, customers: int, seed: int) -> ProtectedRows:
    """Return the rows of a sample of customers in the last train month, chosen by a seeded hash, with their attributes.

    A customer without a row of attributes is unknown in all of them.
    """
    span = matrix.rows("train")
    last = np.unique(matrix.month[span])[-1]
    rows = np.flatnonzero(matrix.month[span] == last) + span.start
    hashes = customer_hash(matrix.customer[rows], seed=seed, salt="protected attributes")
    rows = rows[hashes <= np.uint64(lowest(hashes, customers))]
    table = session.read(ASSET, str(last))
    ids, wanted = table["customer_id"].to_numpy(), matrix.customer[rows]
    order = np.argsort(ids, kind="stable")
    place = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)] if len(ids) else None
    attributes = []
    for name in table.column_names:
        if name == "customer_id" or place is None:
            continue
        encoded = table[name].combine_chunks().dictionary_encode()
        groups = tuple(sorted(encoded.dictionary.to_pylist()))
        number = np.array([groups.index(group) for group in encoded.dictionary.to_pylist()] or [-1], np.int64)
        codes = number[encoded.indices.fill_null(0).to_numpy()]
        codes = np.where(encoded.is_valid().to_numpy(zero_copy_only=False), codes, -1)[place]
        attributes.append(Attribute(name, groups, np.where(ids[place] == wanted, codes, -1)))
    return ProtectedRows(rows, wanted, tuple(attributes))


def carriers(
    X: np.ndarray, columns: Sequence[str], attributes: Sequence[Attribute], *, one_to_one: float
) -> list[Carrier]:
    """Return the columns that are one-to-one with an attribute, or with one of its groups against the rest.

    A column that determines an attribute but is finer (an age beside a band of ages) is none: :mod:`proxy_strength` measures such
    columns.

    Parameters
    ----------
    X : float32 [n, columns]
        A missing value is a value of its own.
    one_to_one
        Lambda both ways from which a column counts.
    """
    targets = [
        (attribute, group, codes)
        for attribute in attributes
        if len(attribute.groups) > 1
        for group, codes in _codings(attribute)
    ]
    exact: list[Carrier] = []
    for position, column in enumerate(columns):
        _, value = np.unique(np.nan_to_num(X[:, position], nan=_MISSING), return_inverse=True)
        best: dict[str, Carrier] = {}
        for attribute, group, codes in targets:
            both = _lambda_both_ways(value[attribute.known], codes[attribute.known])
            if both >= one_to_one and (attribute.name not in best or both > best[attribute.name].both_ways):
                best[attribute.name] = Carrier(column, attribute.name, group, both)
        exact += best.values()
    return exact


def _codings(attribute: Attribute) -> list[tuple[str | None, np.ndarray]]:
    """Return the attribute itself and, where it has more than two groups, each of them against the rest."""
    whole: list[tuple[str | None, np.ndarray]] = [(None, attribute.codes)]
    if len(attribute.groups) == 2:
        return whole
    return whole + [(group, (attribute.codes == k).astype(np.int64)) for k, group in enumerate(attribute.groups)]


def _lambda_both_ways(first: np.ndarray, second: np.ndarray) -> float:
    """Return the smaller lambda of two codings, int [n] each from 0 on; 0 where one of them does not vary."""
    if not len(first):
        return 0.0
    width = int(second.max()) + 1
    cells, counts = np.unique(first * width + second, return_counts=True)
    lambdas = []
    for given, guessed in ((cells // width, second), (cells % width, first)):
        errors = len(guessed) - int(np.bincount(guessed).max())
        if not errors:
            return 0.0
        most = np.zeros(int(given.max()) + 1, np.int64)
        np.maximum.at(most, given, counts)
        lambdas.append(1 - (len(guessed) - int(most.sum())) / errors)
    return float(min(lambdas))


def by_column(listed: Sequence[Carrier]) -> Mapping[str, list[Carrier]]:
    """Return carriers by the name of the column."""
    grouped: dict[str, list[Carrier]] = {}
    for carrier in listed:
        grouped.setdefault(carrier.column, []).append(carrier)
    return grouped
