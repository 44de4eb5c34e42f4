"""Every kind of check: its number, what it asserts, what it needs to look at, and what happens when it fails.

The Dagster checks, their metadata, the evidence records, ``finai checks list`` and docs/checks.md all derive from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from finai_resources.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of check.

    Parameters
    ----------
    id, name
        Number and name, as in evidence and in the user interface.
    asserts
        What holds when it passes.
    blocking
        True: what follows waits for it, and its failure has severity ERROR. False: its failure is a warning.
    minimum
        Fewer units of evidence than this are no evidence, and no evidence is a failure.
    units
        What ``n`` counts.
    thresholds
        Settings that it compares with, as dotted paths.
    """

    id: str
    name: str
    asserts: str
    blocking: bool
    minimum: int
    units: str
    thresholds: tuple[str, ...] = ()


KINDS = (
    Kind("C05", "schema_contract", "columns, types, ranges and keys of the month's raw tables are those of the data contract",
         True, 1, "rows"),
    Kind("C06", "columns_vary_on_train", "no column is constant over the train sample", True, 2, "rows",
         ("checks.max_constant_columns",)),
    Kind("C06", "columns_vary", "no column is constant in the month", False, 2, "rows", ("checks.max_constant_columns",)),
    Kind("C09", "point_in_time_replay", "the month's features come out again to the bit from raw tables without a future, and "
         "with garbage for a future", True, 1, "values", ("checks.replay_customers",)),
    Kind("C12", "fitted_on_train_only", "the rows that the state was fitted on are the train sample", True, 1, "rows"),
    Kind("C13", "gap_split", "between a label window and the next split's first cutoff lie enough days; purged months are "
         "unused", True, 3, "months", ("gap_days",)),
    Kind("C23", "student_fidelity", "the student agrees with its teacher on test rows within every floor, or does not copy it",
         True, 1, "rows", ("students.fidelity",)),
)  # fmt: skip


def kind(name: str) -> Kind:
    """Return a kind by name.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    for entry in KINDS:
        if entry.name == name:
            return entry
    raise ConfigError(
        f"there is no check {name!r}", where="checks", fix=f"choose one of {', '.join(entry.name for entry in KINDS)}"
    )
