"""The table of tasks: the one list that labels, losses, students, reports and ranking derive from.

A task is one row here; its formula, its persistence forecast and its truth are functions that the row names. A row from
elsewhere enters by ``Platform.of(settings, more_tasks=...)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from finai_assets.features.inputs import HELD, MCC, SEGMENT, TS
from finai_assets.ingest.derive import unavailable_tasks
from finai_assets.labels.task import Task, Window, available
from finai_resources.errors import ConfigError

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from finai_assets.settings.tasks import ChurnSignalSettings

__all__ = ["Task", "Window", "available", "build_tasks"]

FORMULAS = "finai_assets.labels.formulas"
PERSISTENCE = "finai_assets.labels.persistence"
TRUTHS = "finai_assets.ingest.synthetic.truths"

NONE = "none"
ACQUISITION = {  # name of the set -> (focal alpha, weight, Korean name)
    "deposits": (0.95, 1.5, "예·적금 가입"),
    "investments": (0.90, 1.5, "투자상품 가입"),
    "accounts": (0.85, 1.2, "계좌 개설"),
    "lending": (0.90, 1.5, "대출 이용"),
    "payments": (0.85, 1.2, "카드 발급"),
}


def build_tasks(settings: Settings, more: Sequence[Task] = ()) -> tuple[Task, ...]:
    """Return every task in order, each marked where the data set cannot carry it.

    Parameters
    ----------
    more
        Rows that stand behind those of this table.

    Raises
    ------
    ConfigError
        Two rows have one name, ``unavailable_tasks`` names a task that does not exist, an acquisition set has no task, or an
        available task lacks its classes.
    """
    tasks = (*_rows(settings), *more)
    if twice := sorted(name for name, count in Counter(task.name for task in tasks).items() if count > 1):
        raise ConfigError(f"tasks occur twice: {twice}", where="table of tasks", fix="give each task its own name")
    reasons = settings.dataset.unavailable_tasks
    names = {task.name for task in tasks}
    if unknown := set(reasons) - names:
        raise ConfigError(
            f"unknown tasks {sorted(unknown)}",
            where="dataset.unavailable_tasks",
            fix=f"allowed: {', '.join(sorted(names))}",
        )
    sets = {task.acquires for task in tasks if task.acquires}
    if unknown := set(settings.acquisition_sets) - sets:
        raise ConfigError(
            f"no task is about the products of {sorted(unknown)}",
            where="acquisition_sets",
            fix=f"allowed: {', '.join(sorted(sets))}",
        )
    gone = {name: why.reason for name, why in unavailable_tasks(tasks, settings).items()}
    for task in tasks:
        if task.name not in gone and task.kind == "multiclass" and not task.class_names and task.vocabulary is None:
            raise ConfigError(
                "the task has no class",
                where=f"task {task.name}",
                fix="name its classes, or declare it in dataset.unavailable_tasks with the reason",
            )
    return tuple(replace(task, unavailable=gone.get(task.name, task.unavailable)) for task in tasks)


def _rows(settings: Settings) -> list[Task]:
    """Return the rows. A product is its id, as in the columns of a block's holdings."""
    churn, top = settings.tasks.churn_signal, settings.tasks.next_mcc.top
    changed = Window(history_months=1, end=True)
    spent = Window(events_before=True, events_after=True)
    families = tuple(
        tuple(place for place, product in enumerate(settings.products) if product.family == family)
        for family in settings.families
    )
    return [
        Task(
            "churn_signal", "binary", "lifecycle", 2.0, "Churn signal", "이탈 신호", _churn_text(churn),
            (HELD,), Window(history_months=churn.history_months, end=True),
            f"{FORMULAS}.holdings:churn_signal", churn, focal=(0.85, 2.0), truth=f"{TRUTHS}.holdings:CHURN_SIGNAL",
        ),
        Task(
            "product_stability", "regression", "lifecycle", 1.5, "Product stability", "상품 유지도",
            "Jaccard similarity of the products held at the cutoff and at the end of the window",
            (HELD,), changed, f"{FORMULAS}.holdings:product_stability",
            persistence=f"{PERSISTENCE}:unchanged_holdings", truth=f"{TRUTHS}.holdings:PRODUCT_STABILITY",
        ),
        Task(
            "nba_primary", "multiclass", "consumption", 2.0, "Next best action", "다음 상품군",
            "family of the first product acquired in the window (the lowest product id of that month); 0 = none",
            (HELD,), changed, f"{FORMULAS}.holdings:nba_primary", families, pa.int8(),
            class_names=(NONE, *settings.families), truth=f"{TRUTHS}.holdings:NBA_PRIMARY",
        ),
        Task(
            "cross_sell_count", "regression", "consumption", 1.0, "Cross-sell count", "추가 가입 수",
            "number of products acquired in the window",
            (HELD,), changed, f"{FORMULAS}.holdings:cross_sell_count", truth=f"{TRUTHS}.holdings:CROSS_SELL_COUNT",
        ),
        *(
            Task(
                f"will_acquire_{name}", "binary", "consumption", weight, f"Will acquire: {name}", title_ko,
                f"any product of the set {name} acquired in the window",
                (HELD,), changed, f"{FORMULAS}.holdings:will_acquire",
                tuple(settings.product_ids[code] for code in settings.acquisition_sets.get(name, ())),
                focal=(alpha, 2.0), truth=f"{TRUTHS}.holdings:WILL_ACQUIRE", acquires=name,
            )
            for name, (alpha, weight, title_ko) in ACQUISITION.items()
        ),
        Task(
            "next_mcc", "multiclass", "engagement", 1.2, "Next merchant category", "다음 이용 업종",
            f"MCC of the first transaction in the window (top {top} on train + other); null if none",
            (MCC, TS), Window(events_after=True), f"{FORMULAS}.spending:next_mcc", type=pa.int32(), vocabulary=top,
            persistence=f"{PERSISTENCE}:last_mcc", truth=f"{TRUTHS}.spending:NEXT_MCC",
        ),
        Task(
            "mcc_diversity_trend", "regression", "value", 0.8, "MCC diversity trend", "이용 업종 다양성 변화",
            "(distinct MCC in the window - distinct MCC in the equally long one before) / max(1, the latter)",
            (MCC, TS), spent, f"{FORMULAS}.spending:mcc_diversity_trend", truth=f"{TRUTHS}.spending:MCC_DIVERSITY_TREND",
        ),
        Task(
            "top_mcc_shift", "binary", "engagement", 1.0, "Top MCC shift", "주 이용 업종 변화",
            "most frequent MCC differs between the window and the equally long one before; null if either is empty",
            (MCC, TS), spent, f"{FORMULAS}.spending:top_mcc_shift", focal=(0.70, 2.0),
            truth=f"{TRUTHS}.spending:TOP_MCC_SHIFT",
        ),
        Task(
            "segment_prediction", "multiclass", "lifecycle", 1.0, "Segment", "고객 등급", "segment at the end of the window",
            (SEGMENT,), Window(end=True), f"{FORMULAS}.segment:segment_prediction", len(settings.dataset.segments),
            pa.int8(), class_names=settings.dataset.segments, persistence=f"{PERSISTENCE}:segment_now",
            truth=f"{TRUTHS}.segment:SEGMENT_PREDICTION",
        ),
    ]  # fmt: skip


def _churn_text(chosen: ChurnSignalSettings) -> str:
    part, whole = chosen.share
    return (
        f"products held at the end of the window < {part / whole:g} x mean held over the last {chosen.history_months} "
        "observed months"
    )
