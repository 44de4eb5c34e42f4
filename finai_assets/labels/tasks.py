"""The thirteen tasks: the one list that labels, losses, students, reports and ranking derive from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS, label_asset
from finai_resources.errors import ConfigError

if TYPE_CHECKING:
    from finai_assets.settings import Settings

TaskKind = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction task. Its label is computed from ``[cutoff, cutoff + horizon)``.

    Parameters
    ----------
    classes : int
        Number of classes of a multiclass task (0 for the next-MCC task, whose vocabulary is fitted on train), else 1.
    focal : (float, float) or None
        Alpha and gamma of the focal loss of a binary task.
    weight : float
        Weight of the task in the teacher's loss.
    unavailable : str or None
        Why the data set cannot carry the task; None where it can.
    """

    name: str
    kind: TaskKind
    group: Literal["engagement", "lifecycle", "value", "consumption"]
    weight: float
    title: str
    title_ko: str
    definition: str
    inputs: tuple[str, ...]
    classes: int = 1
    focal: tuple[float, float] | None = None
    unavailable: str | None = None

    @property
    def asset(self) -> str:
        """Return the path of the label's asset."""
        return label_asset(self.name)


SNAPSHOT_HELD = f"{SNAPSHOTS}.held"
SNAPSHOT_SEGMENT = f"{SNAPSHOTS}.segment"
MCC = f"{TRANSACTIONS}.mcc"
TIME = f"{TRANSACTIONS}.ts"

ACQUISITION = {  # name of the set -> (focal alpha, weight, Korean name)
    "deposits": (0.95, 1.5, "예·적금 가입"),
    "investments": (0.90, 1.5, "투자상품 가입"),
    "accounts": (0.85, 1.2, "계좌 개설"),
    "lending": (0.90, 1.5, "대출 이용"),
    "payments": (0.85, 1.2, "카드 발급"),
}

# next_mcc: the vocabulary holds at most this many codes, plus "other"
NEXT_MCC_TOP = 49


def build_tasks(settings: Settings) -> tuple[Task, ...]:
    """Return the thirteen tasks in order, each marked where the data set cannot carry it.

    Raises
    ------
    ConfigError
        ``unavailable_tasks`` names a task that does not exist, or an acquisition set is missing for an available task.
    """
    reasons = settings.dataset.unavailable_tasks
    held = (SNAPSHOT_HELD,)
    tasks = [
        Task("churn_signal", "binary", "lifecycle", 2.0, "Churn signal", "이탈 신호",
             "products held at the end of the window < 0.7 x mean held over the last 6 observed months", held, focal=(0.85, 2.0)),
        Task("product_stability", "regression", "lifecycle", 1.5, "Product stability", "상품 유지도",
             "Jaccard similarity of the products held at the cutoff and at the end of the window", held),
        Task("nba_primary", "multiclass", "consumption", 2.0, "Next best action", "다음 상품군",
             "family of the first product acquired in the window (the lowest product id of that month); 0 = none", held,
             classes=len(settings.families) + 1),
        Task("cross_sell_count", "regression", "consumption", 1.0, "Cross-sell count", "추가 가입 수",
             "number of products acquired in the window", held),
        *(
            Task(f"will_acquire_{name}", "binary", "consumption", weight, f"Will acquire: {name}", title_ko,
                 f"any product of the set {name} acquired in the window", held, focal=(alpha, 2.0))
            for name, (alpha, weight, title_ko) in ACQUISITION.items()
        ),
        Task("next_mcc", "multiclass", "engagement", 1.2, "Next merchant category", "다음 이용 업종",
             f"MCC of the first transaction in the window (top {NEXT_MCC_TOP} on train + other); null if none",
             (MCC, TIME), classes=0),
        Task("mcc_diversity_trend", "regression", "value", 0.8, "MCC diversity trend", "이용 업종 다양성 변화",
             "(distinct MCC in the window - distinct MCC in the equally long one before) / max(1, the latter)", (MCC, TIME)),
        Task("top_mcc_shift", "binary", "engagement", 1.0, "Top MCC shift", "주 이용 업종 변화",
             "most frequent MCC differs between the window and the equally long one before; null if either is empty",
             (MCC, TIME), focal=(0.70, 2.0)),
        Task("segment_prediction", "multiclass", "lifecycle", 1.0, "Segment", "고객 등급",
             "segment at the end of the window", (SNAPSHOT_SEGMENT,), classes=len(settings.dataset.segments)),
    ]  # fmt: skip
    names = {task.name for task in tasks}
    if unknown := set(reasons) - names:
        raise ConfigError(
            f"unknown tasks {sorted(unknown)}",
            where="dataset.unavailable_tasks",
            fix=f"allowed: {', '.join(sorted(names))}",
        )
    for name in ACQUISITION:
        if name not in settings.acquisition_sets and f"will_acquire_{name}" not in reasons:
            raise ConfigError(
                f"there is no acquisition set {name!r}",
                where="acquisition_sets",
                fix=f"list its products, or declare will_acquire_{name} in dataset.unavailable_tasks with the reason",
            )
    return tuple(_marked(task, reasons.get(task.name)) for task in tasks)


def _marked(task: Task, reason: str | None) -> Task:
    if reason is None:
        return task
    values = {name: getattr(task, name) for name in task.__dataclass_fields__}
    return Task(**{**values, "unavailable": reason})


def available(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Return the tasks that the data set can carry."""
    return tuple(task for task in tasks if task.unavailable is None)
