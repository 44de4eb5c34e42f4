"""How a table without the customer's identifier reaches one that has it, by identifiers that both hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finai_assets.ingest.tables.guess.look import Seen
from finai_assets.ingest.tables.guess.roles import plain_name


@dataclass(frozen=True, slots=True)
class Join:
    """Tables to join in order, each with the column by which; and whether a row of the first has one partner at most."""

    by: tuple[tuple[str, str], ...]
    one_to_one: bool


def path_to(table: Seen, key: str, tables: Sequence[Seen]) -> Join | None:
    """Return the shortest way from a table to one that holds a column, through at most two others; None where there is none."""
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
                    unique = other.column(column).unique
                    if not unique and not here.column(column).unique:
                        continue
                    found = (*way, (other.name, column))
                    if has(other, key):
                        return Join(found, single and unique)
                    following.append((other, found, single and unique))
        steps = following
    return None


def has(table: Seen, column: str) -> bool:
    """Return whether a table has a column of this name."""
    return any(each.name == column for each in table.columns)


def shared(left: Seen, right: Seen) -> list[str]:
    """Return the identifiers that two tables share by name."""
    of_right = {column.name for column in right.columns}
    return [
        column.name
        for column in left.columns
        if column.name in of_right and plain_name(column.name).endswith(("id", "key", "num", "no", "번호"))
    ]
