"""What each label is, stated a second time: one question in SQL for each family of formulas.

The statements share nothing with the code that derives labels: they ask the raw tables through the warehouse, and take their
figures (shares, sets, families) from the settings. A question sees only the months that its statement lists, so that it cannot
read outside its window. :data:`STATEMENTS` names one for each task; a row of the table of tasks that stands elsewhere names its
own (``Task.statement``), and a task without any is not assessed, which is a failure.

Parameters of every question: ``$of``, the month whose customers are asked for; ``$now``, the snapshot month; ``$end``, the
month that the label window ends with; ``$first``, the first month of the history; and the instants ``$since``, ``$begin`` and
``$until`` that bound the window before the cutoff and the label window. A question returns ``customer_id`` and ``label``, a row
for each customer of ``$of``.

Every label is a count, a code, or one quotient of two counts. Counts are whole numbers, and IEEE 754 rounds the quotient and its
float32 in one way, so that the order of addition plays no part and labels are compared bit for bit, without a tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS
from finai_assets.labels.task import Task
from finai_assets.reference import resolve
from finai_assets.settings import Settings
from finai_checks.labels import questions
from finai_resources.errors import ConfigError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.warehouse import Warehouse


def _none(_settings: Settings) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Statement:
    """One label in SQL.

    Parameters
    ----------
    sql : str
        Returns ``customer_id`` and ``label``.
    parameters
        Returns the statement's own parameters, from the settings.
    history
        Returns how many snapshots up to ``$now`` are read.
    end : bool
        Whether the snapshot at the end of the label window is read.
    before, after : bool
        Whether transactions of the window before the cutoff, and of the label window, are read.
    """

    sql: str
    parameters: Callable[[Settings], Mapping[str, Any]] = _none
    history: Callable[[Settings], int] = lambda _settings: 1
    end: bool = False
    before: bool = False
    after: bool = False

    def months(self, settings: Settings, horizon: int) -> dict[str, tuple[int, ...]]:
        """Return the months that are read of each raw table, counted from the snapshot month."""
        past = range(1 - self.history(settings), 1)
        earlier, later = range(1 - horizon, 1), range(1, horizon + 1)
        return {
            SNAPSHOTS: (*past, *((horizon,) if self.end else ())),
            TRANSACTIONS: (*(earlier if self.before else ()), *(later if self.after else ())),
        }


@dataclass(frozen=True, slots=True)
class Around:
    """Whose labels are asked for, and around which cutoff: the two months are one, except to recognise a wrong window."""

    customers: Month
    month: Month
    horizon: int


def _share(settings: Settings) -> dict[str, Any]:
    part, whole = settings.tasks.churn_signal.share
    return {"part": part, "whole": whole}


def _families(settings: Settings) -> dict[str, Any]:
    return {"family_of": [1 + settings.families.index(product.family) for product in settings.products]}


def _segments(settings: Settings) -> dict[str, Any]:
    return {"segments": list(settings.dataset.segments)}


@dataclass(frozen=True, slots=True)
class Members:
    """Returns the products of an acquisition set, as the parameter of a question."""

    name: str

    def __call__(self, settings: Settings) -> dict[str, Any]:
        """Return their ids: a product's id is its place in the list of products."""
        codes = [product.code for product in settings.products]
        return {"members": [codes.index(code) for code in settings.acquisition_sets[self.name]]}


STATEMENTS: Mapping[str, Statement] = {
    "churn_signal": Statement(questions.CHURN, _share, lambda settings: settings.tasks.churn_signal.history_months, end=True
    ),
    "product_stability": Statement(questions.STABILITY, end=True),
    "nba_primary": Statement(questions.FIRST_FAMILY, _families, end=True),
    "cross_sell_count": Statement(questions.ACQUISITIONS, end=True),
    **{
        f"will_acquire_{name}": Statement(questions.ANY_OF_SET, Members(name), end=True)
        for name in ("deposits", "investments", "accounts", "lending", "payments")
    },
    "next_mcc": Statement(questions.FIRST_MCC, after=True),
    "mcc_diversity_trend": Statement(questions.DIVERSITY, before=True, after=True),
    "top_mcc_shift": Statement(questions.TOP_SHIFT, before=True, after=True),
    "segment_prediction": Statement(questions.SEGMENT, _segments, end=True),
}  # fmt: skip


def statement_of(task: Task) -> Statement:
    """Return the independent statement of a task's label.

    Raises
    ------
    ConfigError
        There is none.
    """
    if task.name in STATEMENTS:
        return STATEMENTS[task.name]
    if task.statement is None:
        raise ConfigError(
            "the label has no independent statement, so that nothing proves it",
            where=f"task {task.name}",
            fix="state it in SQL: in finai_checks/labels/statements.py, or as a Statement that the row names (Task.statement)",
        )
    stated: Statement = resolve(task.statement)
    return stated


def ask(session: LakeSession, statement: Statement, around: Around, settings: Settings) -> pa.Table:
    """Return the labels of the customers of a month by a statement; see :func:`ask_all`."""
    return ask_all(session, {"": (statement, around)}, settings)[""]


def ask_all(
    session: LakeSession, asked: Mapping[str, tuple[Statement, Around]], settings: Settings
) -> dict[str, pa.Table]:
    """Return labels by several statements; those that read the same months share a DuckDB, whose views show no other month.

    Returns
    -------
    dict of str to pa.Table
        ``customer_id`` and ``label``, a row for each customer of the month that is asked for, by customer.

    Raises
    ------
    LakeError
        A raw partition is absent or damaged.
    QueryError
        A statement is no question that the warehouse answers.
    """
    sharing: dict[str, list[str]] = {}
    for name, (statement, around) in asked.items():
        sharing.setdefault(repr(months_read(statement, around, settings)), []).append(name)
    answers: dict[str, pa.Table] = {}
    for names in sharing.values():
        with Warehouse(session).opened(months_read(*asked[names[0]], settings)) as answer:
            for name in names:
                statement, around = asked[name]
                question = f"SELECT customer_id, label FROM ({statement.sql}) ORDER BY customer_id"  # noqa: S608 - declared
                answers[name] = answer(question, _parameters(statement, around, settings))
    return answers


def _parameters(statement: Statement, around: Around, settings: Settings) -> dict[str, Any]:
    """Return the parameters that a statement names."""
    month, horizon = around.month, around.horizon
    known: dict[str, Any] = {
        "of": around.customers.key,
        "now": month.key,
        "end": (month + horizon).key,
        "first": (month - (statement.history(settings) - 1)).key,
        "since": (month - horizon).cutoff,
        "begin": month.cutoff,
        "until": (month + horizon).cutoff,
        **statement.parameters(settings),
    }
    named = set(re.findall(r"\$(\w+)", statement.sql))
    return {name: value for name, value in known.items() if name in named}


def months_read(statement: Statement, around: Around, settings: Settings) -> dict[str, list[str]]:
    """Return the months that a question sees of each raw table; those before the first raw month do not exist."""
    first = settings.dataset.raw_months.first
    read = {
        table: {around.month + offset for offset in offsets if around.month + offset >= first}
        for table, offsets in statement.months(settings, around.horizon).items()
    }
    read[SNAPSHOTS].add(around.customers)
    return {table: [month.key for month in sorted(months)] for table, months in read.items() if months}
