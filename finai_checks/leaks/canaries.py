"""C11, the inputs that prove it: small matrices with and without leaks, and a small lake into which labels are carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import MATRIX, label_asset
from finai_assets.features.inputs import TRANSACTIONS
from finai_assets.settings import Settings
from finai_assets.settings.checks import ExpectedPredictor
from finai_assets.training.labelling import MatrixTask
from finai_checks.framework.check import NO_EVIDENCE, Canary, CheckOutcome, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.leaks.checks import SHUFFLED_FUTURE, SINGLE_COLUMN
from finai_checks.leaks.shuffled_future import shuffled_future
from finai_checks.leaks.shuffled_future_lake import SwappedMonth, donors
from finai_checks.leaks.single_column import no_single_column_leak

_SETS = ("accounts", "deposits", "investments", "lending", "payments")


def matrix_task(name: str, kind: str, classes: int = 1) -> MatrixTask:
    """Return a task whose classes are numbered."""
    labels = tuple(str(c) for c in range(classes)) if classes > 1 else ()
    return MatrixTask(name, kind, classes, labels, 1.0, None, "consumption")  # type: ignore[arg-type]


TASKS = (
    matrix_task("churn_signal", "binary"),
    matrix_task("nba_primary", "multiclass", 4),
    matrix_task("cross_sell_count", "regression"),
    matrix_task("segment_prediction", "multiclass", 3),
)
ABSOLUTE = frozenset({"segment_prediction"})  # decided by the label window alone
COLUMNS = ("age", "income", "segment_code", "spend", "visits", "channel")
GROUPS = {"demographics": COLUMNS[:3], "behaviour": COLUMNS[3:]}


def honest_matrix(rows: int = 900, seed: int = 7) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Return features [rows, 6], labels and customers: churn goes with income, the segment is nearly today's."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, len(COLUMNS))).astype(np.float32)
    X[:, 2], X[:, 5] = rng.integers(0, 3, rows), rng.integers(0, 2, rows)
    X[rng.random(rows) < 0.1, 3] = np.nan
    moved = rng.random(rows) < 0.02
    labels = {
        "churn_signal": (X[:, 1] + rng.normal(size=rows) > 1.5).astype(np.float32),
        "nba_primary": rng.choice(4, rows, p=[0.7, 0.1, 0.1, 0.1]).astype(np.float32),
        "cross_sell_count": rng.poisson(0.5, rows).astype(np.float32),
        "segment_prediction": np.where(moved, (X[:, 2] + 1) % 3, X[:, 2]).astype(np.float32),
    }
    labels["nba_primary"][::50] = np.nan
    return X, labels, np.arange(rows) // 3


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return matrices with and without leaks, and months whose swapped futures are predictable or not."""
    return [*_single_columns(settings), *_swapped_futures(settings)]


def _single_columns(settings: Settings) -> list[Canary]:
    rules = settings.checks.single_column.model_copy(
        update={"expected": {"segment_prediction": ExpectedPredictor(
            columns=("segment_code",), bound=0.995, reason="few customers change their segment")}}
    )  # fmt: skip

    def judge(
        spoil: Callable[[np.ndarray, dict[str, np.ndarray]], None] | None = None,
        *,
        declared: bool = True,
        rows: int = 900,
    ) -> CheckOutcome:
        X, labels, customer = honest_matrix()
        if spoil is not None:
            spoil(X, labels)
        return no_single_column_leak(
            X[:rows],
            COLUMNS,
            GROUPS,
            TASKS,
            {name: label[:rows] for name, label in labels.items()},
            customer[:rows],
            rules=rules if declared else rules.model_copy(update={"expected": {}}),
            confidence=0.95,
            seed=1,
            threads=1,
        )

    def one_class(X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        X[:, 3] = labels["nba_primary"] == 2

    def absent(X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        X[:, 0] = np.where(labels["churn_signal"] == 1, np.nan, X[:, 0])

    def count(X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        X[:, 4] = -np.exp(labels["cross_sell_count"])

    def exclusive_or(X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        X[:, 4] = np.where(labels["churn_signal"] == 1, 1 - X[:, 5], X[:, 5])

    def conjunction(X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        other = np.random.default_rng(3).integers(0, 7, len(X))  # any of three columns, never all of them
        for bit in range(3):
            X[:, 3 + bit] = (labels["churn_signal"] == 1) | (other >> bit & 1 == 1)

    def tomorrow(X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        X[:, 2] = labels["segment_prediction"]

    def nearly_tomorrow(X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        X[:700, 2] = labels["segment_prediction"][:700]

    def beside(X: np.ndarray, _labels: dict[str, np.ndarray]) -> None:
        X[:, 4] = X[:, 2]

    def rare(_X: np.ndarray, labels: dict[str, np.ndarray]) -> None:
        labels["churn_signal"][:] = np.arange(900) < 4

    def canary(label: str, expects: str | None, evaluate: Callable[[], CheckOutcome]) -> Canary:
        return Canary(SINGLE_COLUMN, label, expects, evaluate)

    return [
        canary("features that predict some of it, and a declared segment", None, judge),
        canary("a column equal to the label in one class only", "spend predicts nba_primary: AUC of 2 1.0000",
               lambda: judge(one_class)),
        canary("a column that is missing where the label is one", "age reconstructs churn_signal", lambda: judge(absent)),
        canary("a falling function of a count", "visits reconstructs cross_sell_count", lambda: judge(count)),
        canary("an exclusive or of two columns", "visits with channel reconstructs churn_signal", lambda: judge(exclusive_or)),
        canary("three columns that all hold only in a churn", "a tree of behaviour predicts churn_signal",
               lambda: judge(conjunction)),
        canary("the segment of tomorrow in the declared column", "segment_code reconstructs segment_prediction",
               lambda: judge(tomorrow)),
        canary("most of tomorrow in the declared column", "> 0.995", lambda: judge(nearly_tomorrow)),
        canary("the declared column under another name", "visits predicts segment_prediction", lambda: judge(beside)),
        canary("a segment that nobody declared", "segment_code predicts segment_prediction", lambda: judge(declared=False)),
        canary("four churns", "too few customers to judge (below 5 of a class): churn_signal", lambda: judge(rare)),
        canary("no row", NO_EVIDENCE, lambda: judge(rows=0)),
    ]  # fmt: skip


def swapped_month(month: str, *, n: int = 240, leaks: str | None = None, strength: float = 3.0) -> SwappedMonth:
    """Return customers with their donors' labels; ``leaks`` names a task whose donor's label the last column carries."""
    X, labels, _ = honest_matrix(n, int(month[-2:]))
    rng = np.random.default_rng(int(month[-2:]) + 100)
    donor = donors(n, rng)
    given = {name: label[donor] for name, label in labels.items()}
    if leaks is not None:
        X[:, -1] = strength * np.nan_to_num(given[leaks]) + rng.normal(size=n)
    return SwappedMonth(month, np.arange(n), X, X.copy(), given, {**given})


def _swapped_futures(settings: Settings) -> list[Canary]:
    def judge(train: list[SwappedMonth], validation: SwappedMonth | None) -> CheckOutcome:
        return shuffled_future(
            train,
            validation,
            COLUMNS,
            TASKS,
            absolute=ABSOLUTE,
            rules=settings.checks.shuffled_future,
            confidence=0.95,
            seed=1,
        )

    def parts(leaks: str | None = None) -> tuple[list[SwappedMonth], SwappedMonth]:
        train = [swapped_month("2015-01", leaks=leaks), swapped_month("2015-02", leaks=leaks)]
        return train, swapped_month("2015-04", leaks=leaks)

    def leaking(task: str) -> CheckOutcome:
        return judge(*parts(task))

    def altered() -> CheckOutcome:
        train, validation = parts()
        stored = validation.stored.copy()
        stored[3, 1] = np.nextafter(stored[3, 1], np.float32(9))
        return judge(train, replace(validation, stored=stored))

    def own_label() -> CheckOutcome:
        train, validation = parts()
        own = {**validation.derived, "segment_prediction": validation.stored[:, 2]}
        return judge(train, replace(validation, derived=own))

    def canary(label: str, expects: str | None, evaluate: Callable[[], CheckOutcome]) -> Canary:
        return Canary(SHUFFLED_FUTURE, label, expects, evaluate)

    return [
        canary("features that know nothing of the donor", None, lambda: judge(*parts())),
        *(
            canary(f"a feature computed from the swapped events: {task.name}", f"{task.name} is still predictable",
                   partial(leaking, task.name))
            for task in TASKS
        ),
        canary("a matrix with a value that the past does not give", "1 columns of the matrix are not what the past gives: income",
               altered),
        canary("a segment that stays the customer's own whatever the window holds",
               "segment_prediction is not decided by the window", own_label),
        canary("no validation month", NO_EVIDENCE, lambda: judge(parts()[0], None)),
    ]  # fmt: skip


def lake_canaries() -> list[LakeCanary]:
    """Return the small lake's matrix, and matrices into which labels are carried."""
    leak = "held_transit_card reconstructs will_acquire_payments"
    changed = "columns of the matrix are not what the past gives: held_demand_deposit"
    return [
        LakeCanary(SINGLE_COLUMN, MATRIX, "a matrix of honest features"),
        LakeCanary(SINGLE_COLUMN, MATRIX, "labels as columns of a group, all the way", leak, _in_the_features),
        LakeCanary(SHUFFLED_FUTURE, MATRIX, "a matrix of honest features and labels"),
        LakeCanary(SHUFFLED_FUTURE, MATRIX, "labels as columns of a group", changed, _in_the_features),
        LakeCanary(
            SHUFFLED_FUTURE,
            MATRIX,
            "a next category taken from before the cutoff",
            "next_mcc is not decided by the window",
            _label_from_the_past,
        ),
    ]


def _in_the_features(small: SmallLake) -> None:
    """Write the labels of acquisitions, and the classes of the next family, over columns of the stored product holdings.

    The group is stored so for every month, and the matrix is built from it: the leak runs from the features to the matrix.
    """
    group = small.group("product_holdings")
    for month in small.months:
        table = small.lake.read(group.asset, month.key)
        ids, values = table["customer_id"].to_numpy(), np.column_stack([table[name].to_numpy() for name in group.names])
        family = small.lake.read(label_asset("nba_primary"), month.key)["label"].to_numpy()
        hot = [family == position + 1 for position in range(len(small.settings.families))]
        hot += [
            small.lake.read(label_asset(f"will_acquire_{name}"), month.key)["label"].to_numpy() == 1 for name in _SETS
        ]
        targets = ["held_demand_deposit", "held_payroll_account", "held_time_deposit", "held_bond_fund", "held_term_life",
                   "held_personal_loan", "held_youth_account", "held_green_savings", "held_equity_fund", "held_overdraft",
                   "held_transit_card"]  # fmt: skip
        for name, column in zip(targets, hot, strict=True):
            values[:, group.names.index(name)] = column
        small.put_features(group, month, ids, values.astype(np.float32))
    small.rebuild_matrix()


def _label_from_the_past(small: SmallLake) -> None:
    """Derive the next category from the first event of the snapshot month, which lies before the cutoff."""
    for month in small.months:
        events = small.lake.read(TRANSACTIONS, month.key).sort_by([("customer_id", "ascending"), ("ts", "ascending")])
        owner, first = np.unique(events["customer_id"].to_numpy(), return_index=True)
        table = small.lake.read(label_asset("next_mcc"), month.key)
        ids = table["customer_id"].to_numpy()
        index = np.minimum(np.searchsorted(owner, ids), len(owner) - 1)
        past = pa.array(events["mcc"].to_numpy()[first][index], pa.int32(), mask=owner[index] != ids)
        place = table.schema.get_field_index("label")
        small.rewrite(label_asset("next_mcc"), month.key, table.set_column(place, "label", past))
    small.rebuild_matrix()
