"""C11, canaries: small matrices with and without leaks, and a small lake into which labels are carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from finai_assets.features.inputs import TRANSACTIONS
from finai_assets.settings import Settings
from finai_assets.settings.checks import ExpectedPredictor
from finai_assets.training.labelling import MatrixTask
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.leaks.shuffled_future import shuffled_future
from finai_checks.leaks.swapped_futures import Exchanged, donors
from finai_checks.leaks.verdicts import no_single_column_leak

Input = tuple[str, str | None, Callable[[], CheckOutcome]]
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


def single_column_inputs(settings: Settings) -> list[Input]:
    """Return inputs of the check of single columns."""
    chosen = settings.checks.single_column.model_copy(
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
            chosen=chosen if declared else chosen.model_copy(update={"expected": {}}),
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

    return [
        ("features that know some of it, and a declared segment", None, judge),
        ("a column equal to the label in one class only", "spend tells nba_primary: AUC of 2 1.0000", lambda: judge(one_class)),
        ("a column that is missing where the label is one", "age reconstructs churn_signal", lambda: judge(absent)),
        ("a falling function of a count", "visits reconstructs cross_sell_count", lambda: judge(count)),
        ("an exclusive or of two columns", "visits with channel reconstructs churn_signal", lambda: judge(exclusive_or)),
        ("three columns that all hold only in a churn", "a tree of behaviour tells churn_signal", lambda: judge(conjunction)),
        ("the segment of tomorrow in the declared column", "segment_code reconstructs segment_prediction",
         lambda: judge(tomorrow)),
        ("most of tomorrow in the declared column", "> 0.995", lambda: judge(nearly_tomorrow)),
        ("the declared column under another name", "visits tells segment_prediction", lambda: judge(beside)),
        ("a segment that nobody declared", "segment_code tells segment_prediction", lambda: judge(declared=False)),
        ("four churns", "too few rows to judge (below 5 of a class): churn_signal", lambda: judge(rare)),
        ("no row", NO_EVIDENCE, lambda: judge(rows=0)),
    ]  # fmt: skip


def exchanged_part(month: str, *, n: int = 240, told: str | None = None, strength: float = 3.0) -> Exchanged:
    """Return customers with strangers' labels; ``told`` names a task that the last column knows the donor's label of."""
    X, labels, _ = honest_matrix(n, int(month[-2:]))
    rng = np.random.default_rng(int(month[-2:]) + 100)
    donor = donors(n, rng)
    given = {name: label[donor] for name, label in labels.items()}
    if told is not None:
        X[:, -1] = strength * np.nan_to_num(given[told]) + rng.normal(size=n)
    return Exchanged(month, np.arange(n), X, X.copy(), given, {**given})


def exchanged_inputs(settings: Settings) -> list[Input]:
    """Return inputs of the check of exchanged futures."""

    def judge(train: list[Exchanged], validation: Exchanged | None) -> CheckOutcome:
        chosen = settings.checks.shuffled_future
        return shuffled_future(
            train, validation, COLUMNS, TASKS, absolute=ABSOLUTE, chosen=chosen, confidence=0.95, seed=1
        )

    def parts(told: str | None = None) -> tuple[list[Exchanged], Exchanged]:
        train = [exchanged_part("2015-01", told=told), exchanged_part("2015-02", told=told)]
        return train, exchanged_part("2015-04", told=told)

    def altered() -> CheckOutcome:
        train, validation = parts()
        stored = validation.stored.copy()
        stored[3, 1] = np.nextafter(stored[3, 1], np.float32(9))
        return judge(train, replace(validation, stored=stored))

    def own_label() -> CheckOutcome:
        train, validation = parts()
        own = {**validation.derived, "segment_prediction": validation.stored[:, 2]}
        return judge(train, replace(validation, derived=own))

    return [
        ("features that know nothing of a stranger", None, lambda: judge(*parts())),
        *(
            (f"a feature computed from the exchanged events: {task.name}", f"{task.name} is still foretold",
             lambda name=task.name: judge(*parts(name)))
            for task in TASKS
        ),
        ("a matrix with a value that the past does not give", "1 columns of the matrix are not what the past gives: income",
         altered),
        ("a segment that is the own one whatever the window holds", "segment_prediction is not decided by the window", own_label),
        ("no validation month", NO_EVIDENCE, lambda: judge(parts()[0], None)),
    ]  # fmt: skip


def in_the_features(small: SmallLake) -> None:
    """Write the labels of acquisitions, and the classes of the next family, over columns of the stored product holdings.

    The group is stored so for every month, and the matrix built from it: the leak goes the whole way.
    """
    group = small.group("product_holdings")
    for month in small.months:
        table = small.lake.read(group.asset, month.key)
        ids, values = table["customer_id"].to_numpy(), np.column_stack([table[name].to_numpy() for name in group.names])
        family = small.lake.read("labels/nba_primary", month.key)["label"].to_numpy()
        hot = [family == position + 1 for position in range(len(small.settings.families))]
        hot += [small.lake.read(f"labels/will_acquire_{name}", month.key)["label"].to_numpy() == 1 for name in _SETS]
        targets = ["held_demand_deposit", "held_payroll_account", "held_time_deposit", "held_bond_fund", "held_term_life",
                   "held_personal_loan", "held_youth_account", "held_green_savings", "held_equity_fund", "held_overdraft",
                   "held_transit_card"]  # fmt: skip
        for name, column in zip(targets, hot, strict=True):
            values[:, group.names.index(name)] = column
        small.put_features(group, month, ids, values.astype(np.float32))
    small.rebuild_matrix()


def label_from_the_past(small: SmallLake) -> None:
    """Derive the next category from the first event of the snapshot month, which lies before the cutoff."""
    for month in small.months:
        events = small.lake.read(TRANSACTIONS, month.key).sort_by([("customer_id", "ascending"), ("ts", "ascending")])
        owner, first = np.unique(events["customer_id"].to_numpy(), return_index=True)
        table = small.lake.read("labels/next_mcc", month.key)
        ids = table["customer_id"].to_numpy()
        at = np.minimum(np.searchsorted(owner, ids), len(owner) - 1)
        past = pa.array(events["mcc"].to_numpy()[first][at], pa.int32(), mask=owner[at] != ids)
        place = table.schema.get_field_index("label")
        small.rewrite("labels/next_mcc", month.key, table.set_column(place, "label", past))
    small.rebuild_matrix()
