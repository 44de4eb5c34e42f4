"""C10, declared inputs measured: features of some customers are recomputed from raw tables in which one column is altered.

A feature may change only if it declares the altered raw column, and some feature that declares it must change. The groups get
whole blocks, not the view that is cut down to their declared inputs, so that an undeclared read shows. The fitted state stays as
stored; inputs that a group reads through its fit alone (a tree that it embeds, say) are measured by fitting on the sample twice.

This is differential testing of dependence, value by value: it finds a read that reaches a value in the sample, and the interval
in the outcome says how rare a read can be and stay unseen (Clopper and Pearson, The use of confidence or fiducial limits,
Biometrika, 1934).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from finai_assets.features.block import Block, read_block
from finai_assets.features.fit import load_states, transform_group
from finai_assets.features.registry import Column, Group, Params
from finai_assets.settings import Settings
from finai_checks.framework.check import CheckOutcome
from finai_checks.lineage.raw_alterations import Alteration, RawTables, alterations, read_raw
from finai_checks.point_in_time.sample import sample_of_kinds
from finai_resources.errors import FinaiError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

NAMES = 6  # in a reason, and in a cell
STATE, FIT = "the stored state", "a fit on the sample"


@dataclass(frozen=True, slots=True)
class Reaction:
    """The changes of a group's columns when one raw column was altered.

    Parameters
    ----------
    input : str
        The raw column.
    altered : int
        How many of its values differed.
    rows : int64 [columns]
        Customers whose value changed, for each column of the group.
    through : str
        Whether values were computed with the stored state, or with states fitted on the sample.
    refused : str
        Why the group would not compute from the altered tables; empty where it did.
    """

    input: str
    altered: int
    rows: np.ndarray
    through: str = STATE
    refused: str = ""


class _Subject:
    """A group under the probe, with its stored state and its values on unaltered tables."""

    def __init__(self, group: Group, params: Params, settings: Settings, usual: Block) -> None:
        self.group, self.params, self.settings, self.usual = group, params, settings, usual

    def probe(self, alteration: Alteration, before: Block, after: Block) -> Reaction:
        """Compare the columns before and after; through a fit too, where the stored state lacks an expected reaction."""
        seen = self._compare(alteration, before, after, (self.params, self.params), STATE)
        reads = [alteration.column in column.inputs for column in self.group.columns]
        fits = any(read and c.fit_scope == "train" for read, c in zip(reads, self.group.columns, strict=True))
        if not fits or (not seen.refused and seen.rows[reads].any()):
            return seen
        try:
            params = self._fitted(before), self._fit(after)
        except FinaiError as error:
            return replace(seen, through=FIT, refused=str(error))
        fitted = self._compare(alteration, before, after, params, FIT)
        return replace(fitted, rows=np.maximum(seen.rows, fitted.rows))

    def _compare(
        self, alteration: Alteration, before: Block, after: Block, params: tuple[Params, Params], through: str
    ) -> Reaction:
        stored = before is self.usual and through == STATE
        old = self._usual_values if stored else self._values(before, params[0])
        try:
            rows, refused = changed_rows(old, self._values(after, params[1])), ""
        except FinaiError as error:
            rows, refused = np.zeros(len(self.group.columns), np.int64), str(error)
        return Reaction(alteration.column, alteration.values, rows, through, refused)

    @cached_property
    def _usual_values(self) -> np.ndarray:
        return self._values(self.usual, self.params)

    @cached_property
    def _usual_fit(self) -> Params:
        return self._fit(self.usual)

    def _fitted(self, block: Block) -> Params:
        return self._usual_fit if block is self.usual else self._fit(block)

    def _fit(self, block: Block) -> Params:
        return self.group.module.fit([block], self.settings)

    def _values(self, block: Block, params: Params) -> np.ndarray:
        """Return the group's columns from the whole block."""
        return transform_group(self.group, block, params, self.settings)[0]


def probe_inputs(
    session: LakeSession, settings: Settings, groups: Sequence[Group], month: Month, *, customers: int
) -> dict[str, CheckOutcome]:
    """Alter each raw column for a sample of customers of a month, and compare the columns of some groups.

    Parameters
    ----------
    customers : int
        About how many customers the sample has.

    Returns
    -------
    dict
        An outcome for each group; ``n`` counts compared values.

    Raises
    ------
    LakeError
        A raw partition or a state is absent or damaged.
    """
    sample = sample_of_kinds(session, month, customers, settings)
    if not len(sample):
        return {group.name: CheckOutcome.no_evidence(month=month.key) for group in groups}
    tables = read_raw(session, month, sample, settings)
    states = load_states(session, groups)
    reactions: dict[str, list[Reaction]] = {group.name: [] for group in groups}
    count = len(sample)
    rng = np.random.default_rng([settings.seed, month.ordinal])
    with tempfile.TemporaryDirectory(prefix="finai-inputs-") as folder:
        copies = _Copies(Lake.on_disk(Path(folder), compression="none"), month, settings)
        usual = copies.block(tables)
        subjects = [_Subject(group, states[group.name].params, settings, usual) for group in groups]
        for alteration in alterations(tables, rng):
            before = usual if alteration.before is tables else copies.block(alteration.before)
            after = copies.block(alteration.after)
            for subject in subjects:
                reactions[subject.group.name].append(subject.probe(alteration, before, after))
    confidence = settings.metrics.confidence
    return {
        group.name: judge(group.columns, reactions[group.name], count, month=month.key, confidence=confidence)
        for group in groups
    }


class _Copies:
    """A lake of raw tables that lives for the length of the check, rewritten where the next tables differ."""

    def __init__(self, lake: Lake, month: Month, settings: Settings) -> None:
        self.lake, self.month, self.settings = lake, month, settings
        self.stored: RawTables | None = None

    def block(self, tables: RawTables) -> Block:
        """Store the tables, and read them back as features do."""
        tables.write(self.lake, self.stored)
        self.stored = tables
        ids = tables.snapshots[self.month]["customer_id"].to_numpy()
        return read_block(LakeSession(self.lake), self.month, int(ids.min()), int(ids.max()), self.settings)


def changed_rows(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the number of rows in which the bits of float32 [n, columns] differ, int64 [columns]."""
    left, right = (np.ascontiguousarray(values).view(np.uint32) for values in (before, after))
    return np.asarray((left != right).sum(axis=0), np.int64)


def judge(
    columns: Sequence[Column], reactions: Sequence[Reaction], customers: int, *, month: str, confidence: float
) -> CheckOutcome:
    """Compare the columns that reacted with those that declare the input.

    A column that declares an input and did not react is a remark, since the sample may lack the case; an input to which no
    declaring column reacted is a failure.
    """
    from scipy.stats import binomtest

    if not customers or not columns:
        return CheckOutcome.no_evidence(month=month)
    rows = [_judged(columns, reaction) for reaction in reactions]
    probed = {reaction.input for reaction in reactions}
    unknown = sorted({name for column in columns for name in column.inputs} - probed)
    reasons = [row["fault"] for row in rows if row["fault"]]
    reasons += [f"{name} is declared, and there is no such raw column to alter" for name in unknown]
    hidden = max((int(r.rows[_undeclared(columns, r)].max(initial=0)) for r in reactions), default=0)
    interval = binomtest(hidden, customers).proportion_ci(confidence, "exact")
    silent = sorted({name for row in rows for name in row["silent"]})
    remark = f"{len(silent)} columns did not react to every input that they declare, see the table" if silent else ""
    observed = {
        "month": month,
        "customers": customers,
        "raw_columns_altered": len(reactions),
        "columns_with_a_silent_input": len(silent),
        "customers_with_an_undeclared_reaction": hidden,
        "interval": [interval.low, interval.high],
    }
    compared = customers * len(columns) * len(reactions)
    rows.sort(key=lambda row: (not row["fault"], not row["declared_by"]))
    table = [{**row, "silent": _some(row["silent"]), "undeclared": _some(row["undeclared"])} for row in rows]
    return CheckOutcome(not reasons, "; ".join(reasons) or remark, compared, observed, table)


def _undeclared(columns: Sequence[Column], reaction: Reaction) -> np.ndarray:
    return np.array([reaction.input not in column.inputs for column in columns])


def _judged(columns: Sequence[Column], reaction: Reaction) -> dict[str, Any]:
    undeclared = _undeclared(columns, reaction)
    moved = reaction.rows > 0
    names = np.array([column.name for column in columns])
    hidden, silent = names[undeclared & moved].tolist(), names[~undeclared & ~moved].tolist()
    declared = int((~undeclared).sum())
    faults = []
    if hidden:
        faults.append(f"{reaction.input} is read by {_some(hidden)}, which do not declare it")
    if reaction.refused and (not declared or reaction.through == FIT):
        faults.append(f"the group does not compute where {reaction.input} is altered: {reaction.refused}")
    elif declared and not reaction.altered:
        faults.append(f"{reaction.input} is declared, and could not be altered in the sample")
    elif declared and not (moved & ~undeclared).any():
        faults.append(f"{reaction.input} is declared by {_some(silent)}, and no column reacts to it")
    return {
        "input": reaction.input,
        "fault": "; ".join(faults),
        "declared_by": declared,
        "reacted": int((moved & ~undeclared).sum()),
        "customers": int(reaction.rows[~undeclared].max(initial=0)),
        "silent": silent,
        "undeclared": hidden,
        "through": reaction.through,
        "altered_values": reaction.altered,
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more
