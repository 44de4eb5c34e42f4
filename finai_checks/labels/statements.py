"""What each label is, stated a second time: one question in SQL for each family of formulas.

The statements share nothing with the code that derives labels: they ask the raw tables through the warehouse, and take their
figures (shares, sets, families) from the settings. A question sees only the months that its statement lists, so that it cannot
read outside its window. :data:`STATEMENTS` names one for each task; a row of the table of tasks that stands elsewhere names its
own (``Task.statement``), and a task without any is not assessed, which is a failure.

Parameters of every question: ``$of``, the month whose customers are asked for; ``$now``, the snapshot month; ``$end``, the month
that the label window ends with; ``$first``, the first month of the history; and the instants ``$since``, ``$begin`` and ``$until``
that bound the window before the cutoff and the label window. A question returns ``customer_id`` and ``label``, a row for each
customer of ``$of``.

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


_CUSTOMERS = "customers AS (SELECT customer_id FROM raw.snapshots WHERE month = $of)"
_HOLDINGS = f"""WITH {_CUSTOMERS},
current AS (SELECT DISTINCT customer_id, unnest(held) AS product FROM raw.snapshots WHERE month = $now),
later AS (SELECT DISTINCT customer_id, unnest(held) AS product FROM raw.snapshots WHERE month = $end)"""  # noqa: S608
_ACQUIRED = f"{_HOLDINGS}, acquired AS (FROM later EXCEPT FROM current)"

CHURN = f"""WITH {_CUSTOMERS},
history AS (SELECT customer_id, count(*) AS months, sum(len(list_distinct(held))) AS products
            FROM raw.snapshots WHERE month BETWEEN $first AND $now GROUP BY customer_id),
later AS (SELECT customer_id, len(list_distinct(held)) AS products FROM raw.snapshots WHERE month = $end)
SELECT customer_id, CASE WHEN history.products > 0
       THEN $whole * coalesce(later.products, 0) * history.months < $part * history.products END AS label
FROM customers LEFT JOIN history USING (customer_id) LEFT JOIN later USING (customer_id)"""  # noqa: S608
STABILITY = f"""{_HOLDINGS},
kept AS (SELECT customer_id, count(*) AS products FROM (FROM current INTERSECT FROM later) GROUP BY customer_id),
ever AS (SELECT customer_id, count(*) AS products FROM (FROM current UNION FROM later) GROUP BY customer_id)
SELECT customer_id, CASE WHEN ever.products > 0
       THEN coalesce(kept.products, 0)::DOUBLE / ever.products::DOUBLE END AS label
FROM customers LEFT JOIN kept USING (customer_id) LEFT JOIN ever USING (customer_id)"""
FIRST_FAMILY = f"""{_ACQUIRED}
SELECT customer_id, coalesce(list_extract($family_of::INTEGER[], min(product)::INTEGER + 1), 0) AS label
FROM customers LEFT JOIN acquired USING (customer_id) GROUP BY customer_id"""
ACQUISITIONS = f"""{_ACQUIRED}
SELECT customer_id, count(product) AS label FROM customers LEFT JOIN acquired USING (customer_id) GROUP BY customer_id"""
ANY_OF_SET = f"""{_ACQUIRED}
SELECT customer_id, count(product) FILTER (list_contains($members::INTEGER[], product::INTEGER)) > 0 AS label
FROM customers LEFT JOIN acquired USING (customer_id) GROUP BY customer_id"""
FIRST_MCC = f"""WITH {_CUSTOMERS},
spent AS (SELECT customer_id, first(mcc ORDER BY ts, mcc) AS mcc FROM raw.transactions
          WHERE ts >= $begin AND ts < $until GROUP BY customer_id)
SELECT customer_id, mcc AS label FROM customers LEFT JOIN spent USING (customer_id)"""  # noqa: S608
DIVERSITY = f"""WITH {_CUSTOMERS},
spent AS (SELECT customer_id, count(DISTINCT mcc) FILTER (ts < $begin) AS before,
                 count(DISTINCT mcc) FILTER (ts >= $begin) AS after
          FROM raw.transactions WHERE ts >= $since AND ts < $until GROUP BY customer_id)
SELECT customer_id, (coalesce(after, 0) - coalesce(before, 0))::DOUBLE / greatest(1, coalesce(before, 0))::DOUBLE AS label
FROM customers LEFT JOIN spent USING (customer_id)"""  # noqa: S608
TOP_SHIFT = f"""WITH {_CUSTOMERS},
counted AS (SELECT customer_id, ts >= $begin AS after, mcc, count(*) AS lines FROM raw.transactions
            WHERE ts >= $since AND ts < $until GROUP BY ALL),
top AS (SELECT customer_id, first(mcc ORDER BY lines DESC, mcc) FILTER (NOT after) AS before,
               first(mcc ORDER BY lines DESC, mcc) FILTER (after) AS after FROM counted GROUP BY customer_id)
SELECT customer_id, before != after AS label FROM customers LEFT JOIN top USING (customer_id)"""  # noqa: S608
SEGMENT = f"""WITH {_CUSTOMERS},
later AS (SELECT customer_id, segment FROM raw.snapshots WHERE month = $end)
SELECT customer_id, nullif(list_position($segments::VARCHAR[], segment), 0) - 1 AS label
FROM customers LEFT JOIN later USING (customer_id)"""  # noqa: S608


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
    "churn_signal": Statement(
        CHURN, _share, lambda settings: settings.tasks.churn_signal.history_months, end=True
    ),
    "product_stability": Statement(STABILITY, end=True),
    "nba_primary": Statement(FIRST_FAMILY, _families, end=True),
    "cross_sell_count": Statement(ACQUISITIONS, end=True),
    **{
        f"will_acquire_{name}": Statement(ANY_OF_SET, Members(name), end=True)
        for name in ("deposits", "investments", "accounts", "lending", "payments")
    },
    "next_mcc": Statement(FIRST_MCC, after=True),
    "mcc_diversity_trend": Statement(DIVERSITY, before=True, after=True),
    "top_mcc_shift": Statement(TOP_SHIFT, before=True, after=True),
    "segment_prediction": Statement(SEGMENT, _segments, end=True),
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
    """Return the labels of the customers of a month by a statement: a table of ``customer_id`` and ``label``, by customer.

    Raises
    ------
    LakeError
        A raw partition is absent or damaged.
    QueryError
        The statement is no question that the warehouse answers.
    """
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
    question = f"SELECT customer_id, label FROM ({statement.sql}) ORDER BY customer_id"  # noqa: S608 - declared above
    return Warehouse(session).query(
        question,
        {name: value for name, value in known.items() if name in named},
        reads=months_read(statement, around, settings),
    )


def months_read(statement: Statement, around: Around, settings: Settings) -> dict[str, list[str]]:
    """Return the months that a question sees of each raw table; those before the first raw month do not exist."""
    first = settings.dataset.raw_months.first
    read = {
        table: {around.month + offset for offset in offsets if around.month + offset >= first}
        for table, offsets in statement.months(settings, around.horizon).items()
    }
    read[SNAPSHOTS].add(around.customers)
    return {table: [month.key for month in sorted(months)] for table, months in read.items() if months}
