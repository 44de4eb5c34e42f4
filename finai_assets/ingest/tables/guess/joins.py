"""How a table without the customer's identifier reaches one that has it, by identifiers that both hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finai_assets.ingest.tables.guess.look import Seen
from finai_assets.ingest.tables.guess.profile import Column
from finai_assets.ingest.tables.guess.roles import plain_name


@dataclass(frozen=True, slots=True)
class Join:
    """Tables to join in order, each with the column by which; and whether a row of the first has one partner at most."""

    by: tuple[tuple[str, str], ...]
    one_to_one: bool


def path_to(table: Seen, key: Column, tables: Sequence[Seen]) -> Join | None:
    """Return the shortest way from a table to one that holds the customer's identifier; None where there is none.

    Parameters
    ----------
    key
        The identifier as the table of transactions, or of months, has it.
    tables
        All tables; the way leads through at most two of them.
    """
    if has(table, key):
        return Join((), True)
    steps: list[tuple[Seen, tuple[tuple[str, str], ...], bool]] = [(table, (), True)]
    for _ in range(2):
        following = []
        for here, way, single in steps:
            for other in tables:
                if other is table or other.name in {name for name, _ in way}:
                    continue
                for column in shared(here, other):
                    mine, theirs = here.column(column), other.column(column)
                    unique = theirs.unique
                    if column == key.name or strange(mine, theirs) or not (unique or mine.unique):
                        continue
                    found = (*way, (other.name, column))
                    if has(other, key):
                        return Join(found, single and unique)
                    following.append((other, found, single and unique))
        steps = following
    return None


def has(table: Seen, key: Column) -> bool:
    """Return whether a table has a column of the identifier's name, and values in it that the identifier has too."""
    return any(column.name == key.name and not strange(column, key) for column in table.columns)


def strange(column: Column, key: Column) -> bool:
    """Return whether two columns share no value of those that were looked at, as where only one has leading zeros."""
    mine, others = ({value for value, _ in each.values} for each in (column, key))
    return bool(mine and others) and not mine & others


def shared(left: Seen, right: Seen) -> list[str]:
    """Return the identifiers that two tables share by name."""
    of_right = {column.name for column in right.columns}
    return [
        column.name
        for column in left.columns
        if column.name in of_right and plain_name(column.name).endswith(("id", "key", "num", "no", "번호"))
    ]
