"""C45 and C46, the plain values that prove them: labels as they are defined and as they are not, and scores about the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.settings import Settings
from finai_assets.settings.checks import LabelRate
from finai_checks.framework.check import NO_EVIDENCE, Canary
from finai_checks.labels.ceiling import models_not_above, students_not_above
from finai_checks.labels.checks import FOLLOW_THE_TRUTH, NOT_ABOVE_CEILING, RATES, RECOMPUTED, UNLIKE_BEFORE
from finai_checks.labels.rates import label_rates
from finai_checks.labels.recomputed import labels_recomputed
from finai_checks.labels.resemblance import unlike_the_month_before
from finai_checks.labels.truth import labels_follow_the_truth


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return labels as they are defined and as they are not, and scores below and above the ceiling."""
    return [*_values(), *_events(settings), *_laws(settings), *_scores()]


def _labels(values: list[float | None], ids: list[int] | None = None) -> pa.Table:
    return pa.table({"customer_id": pa.array(ids or [*range(len(values))], pa.int64()),
                     "label": pa.array(values, pa.float32())})  # fmt: skip


def _values() -> list[Canary]:
    defined = _labels([0.0, 1.0, None, 0.25, 1 / 3])

    def canary(label: str, expects: str | None, stored: pa.Table, **like: list[float | None]) -> Canary:
        look_alikes = {name: _labels(values)["label"] for name, values in like.items()}
        return Canary(RECOMPUTED, label, expects,
                      lambda: labels_recomputed(stored, defined, pa.float32(), lambda: look_alikes))  # fmt: skip

    odd = float(np.nextafter(np.float32(1 / 3), np.float32(1)))
    return [
        canary("labels as defined", None, defined),
        canary("the same labels in another order of rows", None, defined.take(pa.array([4, 2, 0, 1, 3]))),
        canary("one bit of a quotient", "1 of 5 labels are not as defined", _labels([0.0, 1.0, None, 0.25, odd])),
        canary("a null where the label is defined", "1 are null where", _labels([0.0, None, None, 0.25, 1 / 3])),
        canary("a zero where it is not", "1 are given where", _labels([0.0, 1.0, 0.0, 0.25, 1 / 3])),
        canary("a customer is gone", "1 customers of the snapshot have no label", defined.slice(1)),
        canary("a customer twice", "1 rows are of a customer", _labels([0.0, 1.0, None, 0.25, 1 / 3, 0.0], [0, 1, 2, 3, 4, 0])),
        canary("a customer without a snapshot", "1 customers have a label and no snapshot",
               _labels([0.0, 1.0, None, 0.25, 1 / 3, 0.0])),
        canary("labels of other customers", "in another order", _labels([1.0, 0.0, None, 0.25, 1 / 3])),
        canary("labels as float64", "are stored as double",
               defined.set_column(1, "label", defined["label"].cast(pa.float64()))),
        canary("labels of a named look-alike", "they are late", _labels([1.0, 1.0, None, 0.5, 0.5]),
               late=[1.0, 1.0, None, 0.5, 0.5], early=[0.0, 0.0, None, 0.5, 0.25]),
        Canary(RECOMPUTED, "no customer", NO_EVIDENCE,
               lambda: labels_recomputed(_labels([]), _labels([]), pa.float32())),
    ]  # fmt: skip


def _events(settings: Settings) -> list[Canary]:
    limits = settings.checks.labels.rates["binary"]

    def rate(label: str, expects: str | None, values: Sequence[float | None], declared: LabelRate = limits) -> Canary:
        return Canary(RATES, label, expects, lambda: label_rates(pa.array(values, pa.float32()), "binary", declared))

    def before(label: str, expects: str | None, now: list[float], then: list[float], bound: float | None) -> Canary:
        return Canary(
            UNLIKE_BEFORE, label, expects,
            lambda: unlike_the_month_before(pa.array(now, pa.float32()), pa.array(then, pa.float32()), bound, "lasting"),
        )  # fmt: skip

    now = [1.0] * 50 + [0.0] * 450
    nearly = [1.0] * 46 + [0.0] * 454
    return [
        rate("a twentieth", None, [1.0] * 50 + [0.0] * 950),
        rate("none of few", None, [0.0] * 100),
        rate("no event in a large month", "0 of 50000 labels are events", [0.0] * 50000),
        rate("nearly all", "900 of 1000 labels are events", [1.0] * 900 + [0.0] * 100),
        rate("mostly not defined", "800 of 1000 labels are null", [None] * 800 + [1.0] * 10 + [0.0] * 190),
        rate("no label", NO_EVIDENCE, []),
        before("other customers acquire", None, now, [0.0] * 450 + [1.0] * 50, 0.9),
        before("too few events to judge", None, [1.0] + [0.0] * 99, [1.0] + [0.0] * 99, 0.9),
        before("a task that lasts", None, now, now, None),
        before("what was acquired before", "1.000 of 50 events are the same", now, now, 0.9),
        before("nearly what was acquired before", "0.920 of 50 events are the same", now, nearly, 0.9),
        before("no label at all", NO_EVIDENCE, [], [], 0.9),
    ]


def _laws(settings: Settings) -> list[Canary]:
    rng, n = np.random.default_rng(settings.seed), 4000
    p = rng.beta(0.5, 6.0, n)
    happened = (rng.random(n) < p).astype(np.float32)
    mean = rng.gamma(2.0, 0.5, n)
    counted = rng.poisson(mean).astype(np.float32)

    def canary(label: str, expects: str | None, values: np.ndarray, kind: str, **law: np.ndarray) -> Canary:
        stored, truth = _labels(values.tolist()), pa.table({"customer_id": np.arange(n), **law})
        return Canary(FOLLOW_THE_TRUTH, label, expects, lambda: labels_follow_the_truth(stored, truth, kind))

    return [
        canary("events by their law", None, happened, "binary", p=p),
        canary("events of other customers", "log-likelihood", rng.permutation(happened), "binary", p=p),
        canary(
            "events twice as often", "customers with 1", np.maximum(happened, rng.permutation(happened)), "binary", p=p
        ),
        canary("numbers by their expectation", None, counted, "regression", mean=mean),
        canary("numbers of other customers", "weighted", rng.permutation(counted), "regression", mean=mean),
        canary("nobody", NO_EVIDENCE, happened[:0], "binary", p=p),
    ]


def _scores() -> list[Canary]:
    def entry(teacher: float, ceiling: float, lift: tuple[float, float] | None, events: int = 90) -> dict[str, Any]:
        def figures(value: float) -> dict[str, dict[str, Any]]:
            return {"auc": {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 900, "note": ""}}

        share = {"teacher": {"value": sum(lift) / 2, "low": lift[0], "high": lift[1], "n": 900}} if lift else {}
        test = {
            "n": 900,
            "positives": events,
            "metrics": {"teacher": figures(teacher), "ceiling": figures(ceiling)},
            "lift_share": share,
        }
        return {"tasks": {"a": {"kind": "binary", "metric": "auc", "test": test}}}

    def canary(label: str, expects: str | None, *given: Any) -> Canary:
        return Canary(NOT_ABOVE_CEILING, label, expects, lambda: models_not_above(entry(*given), ["a"], 50))

    def student(label: str, expects: str | None, value: float) -> Canary:
        known = entry(0.7, 0.75, (0.7, 0.9))
        figures = known["tasks"]["a"]["test"]["metrics"]["teacher"] | {
            "auc": {"value": value, "low": value - 0.01, "high": value}
        }
        card = {"metrics": {"test": {"teacher": figures, "student": figures}}}
        return Canary(NOT_ABOVE_CEILING, label, expects, lambda: students_not_above(known, {"a": card}, 50))

    return [
        canary("a teacher below the ceiling", None, 0.7, 0.75, (0.7, 0.9)),
        canary("a teacher that may be at the ceiling", None, 0.75, 0.75, (0.9, 1.1)),
        canary(
            "a teacher that knows the future", "a: teacher lies above the ceiling (lift share", 0.95, 0.7, (2.0, 2.5)
        ),
        canary("the same where there is no lift", "a: teacher lies above the ceiling (auc", 0.95, 0.7, None),
        canary("an interval of 9 events", NO_EVIDENCE, 0.95, 0.7, (2.0, 2.5), 9),
        student("a student below the ceiling", None, 0.72),
        student("a student above the ceiling", "a: student lies above the ceiling", 0.95),
        Canary(NOT_ABOVE_CEILING, "no evaluation", NO_EVIDENCE, lambda: models_not_above(None, ["a"], 50)),
        Canary(
            NOT_ABOVE_CEILING, "no student", NO_EVIDENCE, lambda: students_not_above(entry(0.7, 0.75, None), {}, 50)
        ),
    ]
