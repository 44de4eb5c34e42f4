"""C45 and C46, the inputs that prove them: labels of another month, window, task or customer, and models above the ceiling."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import EVALUATION, MATRIX, SNAPSHOTS, label_asset
from finai_assets.labels.task import Task
from finai_assets.settings import Settings
from finai_assets.settings.checks import LabelRate
from finai_assets.training.matrix import DESCRIPTION
from finai_checks.framework.check import NO_EVIDENCE, Canary, CheckKind, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.labels.ceiling import models_not_above, students_not_above
from finai_checks.labels.checks import (
    CLASSES,
    EVALUATION_FILE,
    FOLLOW_THE_TRUTH,
    NOT_ABOVE_CEILING,
    RATES,
    RECOMPUTED,
    UNLIKE_BEFORE,
    WINDOW_ALONE,
)
from finai_checks.labels.rates import label_rates
from finai_checks.labels.recomputed import as_label, labels_recomputed
from finai_checks.labels.resemblance import unlike_the_month_before
from finai_checks.labels.statements import STATEMENTS, Around, ask, statement_of
from finai_checks.labels.truth import labels_follow_the_truth
from finai_resources.json_text import to_json

CHURN, STABILITY, FAMILY, COUNT = (
    label_asset(name) for name in ("churn_signal", "product_stability", "nba_primary", "cross_sell_count")
)
DEPOSITS = label_asset("will_acquire_deposits")
FIRST_MCC, DIVERSITY, SHIFT, SEGMENT = (
    label_asset(name) for name in ("next_mcc", "mcc_diversity_trend", "top_mcc_shift", "segment_prediction")
)
UNSTATED = label_asset("number_of_sales")


# ---- plain values


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

    def rate(label: str, expects: str | None, values: list[float | None], declared: LabelRate = limits) -> Canary:
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
    def entry(teacher: float, ceiling: float, lift: tuple[float, float] | None) -> dict[str, Any]:
        def figures(value: float) -> dict[str, dict[str, Any]]:
            return {"auc": {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 900, "note": ""}}

        share = {"teacher": {"value": sum(lift) / 2, "low": lift[0], "high": lift[1], "n": 900}} if lift else {}
        test = {"n": 900, "metrics": {"teacher": figures(teacher), "ceiling": figures(ceiling)}, "lift_share": share}
        return {"tasks": {"a": {"kind": "binary", "metric": "auc", "test": test}}}

    def canary(label: str, expects: str | None, *given: Any) -> Canary:
        return Canary(NOT_ABOVE_CEILING, label, expects, lambda: models_not_above(entry(*given), ["a"]))

    def student(label: str, expects: str | None, value: float) -> Canary:
        known = entry(0.7, 0.75, (0.7, 0.9))
        figures = known["tasks"]["a"]["test"]["metrics"]["teacher"] | {
            "auc": {"value": value, "low": value - 0.01, "high": value}
        }
        card = {"metrics": {"test": {"teacher": figures, "student": figures}}}
        return Canary(NOT_ABOVE_CEILING, label, expects, lambda: students_not_above(known, {"a": card}))

    return [
        canary("a teacher below the ceiling", None, 0.7, 0.75, (0.7, 0.9)),
        canary("a teacher that may be at the ceiling", None, 0.75, 0.75, (0.9, 1.1)),
        canary(
            "a teacher that knows the future", "a: teacher lies above the ceiling (lift share", 0.95, 0.7, (2.0, 2.5)
        ),
        canary("the same where there is no lift", "a: teacher lies above the ceiling (auc", 0.95, 0.7, None),
        student("a student below the ceiling", None, 0.72),
        student("a student above the ceiling", "a: student lies above the ceiling", 0.95),
        Canary(NOT_ABOVE_CEILING, "no evaluation", NO_EVIDENCE, lambda: models_not_above(None, ["a"])),
        Canary(NOT_ABOVE_CEILING, "no student", NO_EVIDENCE, lambda: students_not_above(entry(0.7, 0.75, None), {})),
    ]


# ---- the small lake


def lake_canaries() -> list[LakeCanary]:
    """Return labels as they were derived, and labels that an error of the product would have derived."""
    early, late, longer = _around(-1), _around(1), _around(0, 1)

    def bad(
        asset: str, label: str, expects: str, poison: Callable[[SmallLake], None], kind: CheckKind = RECOMPUTED
    ) -> LakeCanary:
        return LakeCanary(kind, asset, label, expects, poison)

    families = {"churn": CHURN, "acquisitions": DEPOSITS, "families": FAMILY, "counts": COUNT, "stability": STABILITY,
                "codes": FIRST_MCC, "diversity": DIVERSITY, "shifts": SHIFT}  # fmt: skip
    return [
        *(LakeCanary(RECOMPUTED, asset, f"{name} as they were derived") for name, asset in families.items()),
        LakeCanary(RECOMPUTED, SEGMENT, "segments as they were derived"),
        *(bad(asset, f"{name} of one month early", "one month early", early(asset)) for name, asset in families.items()),
        *(bad(asset, f"{name} of one month late", "one month late", late(asset)) for name, asset in families.items()),
        bad(COUNT, "a window that is two months long", "one month longer", longer(COUNT)),
        bad(DIVERSITY, "two windows that are two months long", "one month longer", longer(DIVERSITY)),
        bad(DEPOSITS, "the acquisitions of another set", "they are those of will_acquire_lending", _of_another("will_acquire_lending")),
        bad(SHIFT, "the formula of another task", "they are those of churn_signal", _of_another("churn_signal", SHIFT)),
        bad(COUNT, "labels of other customers", "in another order", _changed(COUNT, _permuted)),
        bad(COUNT, "a customer is dropped", "1 customers of the snapshot have no label", _changed(COUNT, lambda t: t.slice(1))),
        bad(COUNT, "a null where the label is defined", "1 are null where the label is defined", _changed(COUNT, _with_null)),
        bad(COUNT, "a label of no recorded origin", "does not record that it was made from", _changed(COUNT, lambda t: t, {})),
        bad(COUNT, "a label made from a later month", "outside its window", _from_later),
        bad(COUNT, "a row that declares a longer window", "the row declares the months", _declares_more),
        bad(COUNT, "a month whose window has not passed", "immature", _immature),
        bad(UNSTATED, "a task that nothing states in SQL", "not assessed", _unstated),
        LakeCanary(RATES, DEPOSITS, "a month as it was derived"),
        bad(DEPOSITS, "everybody acquires", "240 of 240 labels are events", _changed(DEPOSITS, _all_ones), RATES),
        LakeCanary(FOLLOW_THE_TRUTH, COUNT, "a month as it was derived"),
        bad(SHIFT, "shifts of the wrong customers", "odds below", _changed(SHIFT, _inverted), FOLLOW_THE_TRUTH),
        LakeCanary(UNLIKE_BEFORE, COUNT, "a month as it was derived"),
        bad(COUNT, "what was acquired in the month before", "1.000 of", early(COUNT), UNLIKE_BEFORE),
        LakeCanary(CLASSES, MATRIX, "classes as they were fitted"),
        bad(MATRIX, "a class that is rarer than another", "stand in place of", _vocabulary(lambda c: [*c[:-2], "1", "other"]), CLASSES),
        bad(MATRIX, "classes in another order", "in another order", _vocabulary(lambda c: [c[1], c[0], *c[2:]]), CLASSES),
        LakeCanary(WINDOW_ALONE, MATRIX, "labels as they were derived"),
        bad(MATRIX, "labels that are made from another month", "labels of cross_sell_count change", early(COUNT), WINDOW_ALONE),
        LakeCanary(NOT_ABOVE_CEILING, EVALUATION, "a teacher below the ceiling", None, _evaluated(0.8)),
        bad(EVALUATION, "a teacher above the ceiling", "lies above the ceiling", _evaluated(1.4), NOT_ABOVE_CEILING),
    ]  # fmt: skip


def _task(small: SmallLake, asset: str) -> Task:
    return next(task for task in small.platform.available_tasks if task.asset == asset)


def _store(small: SmallLake, asset: str, table: pa.Table, upstream: dict[str, str] | None = None) -> None:
    """Replace a month's labels, and leave what the month records of its origin, unless another is given."""
    manifest = small.lake.manifest(asset, small.month.key)
    with small.lake.write(asset, small.month.key, upstream=manifest.upstream if upstream is None else upstream) as out:
        out.write(table)


def _around(months: int, longer: int = 0) -> Callable[[str], Callable[[SmallLake], None]]:
    """Return what stores the labels of a window so many months off, or so many months longer."""

    def of(asset: str) -> Callable[[SmallLake], None]:
        def poison(small: SmallLake) -> None:
            task, horizon = _task(small, asset), small.settings.horizon_months
            around = Around(small.month, small.month + months, horizon + longer)
            answer = ask(small.session, statement_of(task), around, small.settings)
            _store(small, asset, answer.set_column(1, "label", as_label(answer["label"], task.type)))

        return poison

    return of


def _of_another(name: str, asset: str = DEPOSITS) -> Callable[[SmallLake], None]:
    def poison(small: SmallLake) -> None:
        around = Around(small.month, small.month, small.settings.horizon_months)
        answer = ask(small.session, STATEMENTS[name], around, small.settings)
        _store(small, asset, answer.set_column(1, "label", as_label(answer["label"], _task(small, asset).type)))

    return poison


def _changed(
    asset: str, change: Callable[[pa.Table], pa.Table], upstream: dict[str, str] | None = None
) -> Callable[[SmallLake], None]:
    return lambda small: _store(
        small, asset, change(small.lake.read(asset, small.month.key).combine_chunks()), upstream
    )


def _put(table: pa.Table, values: pa.Array) -> pa.Table:
    return table.set_column(1, table.schema.field(1), values)


def _permuted(table: pa.Table) -> pa.Table:
    return _put(table, table["label"].combine_chunks().take(pa.array(np.roll(np.arange(len(table)), 1))))


def _with_null(table: pa.Table) -> pa.Table:
    return _put(table, pa.array([None, *table["label"].to_pylist()[1:]], table.schema.field(1).type))


def _all_ones(table: pa.Table) -> pa.Table:
    return _put(table, pa.array(np.ones(len(table), np.float32)))


def _inverted(table: pa.Table) -> pa.Table:
    values = [None if value is None else 1.0 - value for value in table["label"].to_pylist()]
    return _put(table, pa.array(values, pa.float32()))


def _from_later(small: SmallLake) -> None:
    known = dict(small.lake.manifest(COUNT, small.month.key).upstream)
    later = (small.month + 2).key
    known[f"{SNAPSHOTS}@{later}"] = small.lake.manifest(SNAPSHOTS, later).content_hash
    _store(small, COUNT, small.lake.read(COUNT, small.month.key), known)


def _replace_task(small: SmallLake, asset: str, **changes: Any) -> None:
    tasks = tuple(replace(task, **changes) if task.asset == asset else task for task in small.platform.tasks)
    small.platform = replace(small.platform, tasks=tasks)


def _declares_more(small: SmallLake) -> None:
    window = replace(_task(small, COUNT).window, history_months=2)
    _replace_task(small, COUNT, window=window)


def _immature(small: SmallLake) -> None:
    """Let the raw months end with the month of the label."""
    dataset = small.settings.dataset
    shorter = dataset.raw_months.model_copy(update={"last": small.month})
    settings = small.settings.model_copy(update={"dataset": dataset.model_copy(update={"raw_months": shorter})})
    small.platform = replace(small.platform, settings=settings)


def _unstated(small: SmallLake) -> None:
    """Give a task a name for which nothing is stated, with the labels that it has."""
    known = small.lake.manifest(COUNT, small.month.key)
    _replace_task(small, COUNT, name="number_of_sales", statement=None)
    with small.lake.write(UNSTATED, small.month.key, upstream=known.upstream) as out:
        out.write(small.lake.read(COUNT, small.month.key))


def _vocabulary(change: Callable[[list[str]], list[str]]) -> Callable[[SmallLake], None]:
    """Return what changes the classes that the training matrix stores."""

    def poison(small: SmallLake) -> None:
        description = json.loads(small.files(MATRIX)[DESCRIPTION])
        for entry in description["tasks"]:
            if entry["name"] == "next_mcc":
                entry["class_labels"] = change(entry["class_labels"])
        small.put_files(MATRIX, {DESCRIPTION: to_json(description)})

    return poison


def _evaluated(lift: float) -> Callable[[SmallLake], None]:
    """Return what stores an evaluation in which every teacher gets so far from the trivial forecast to the ceiling."""

    def poison(small: SmallLake) -> None:
        figures = {"value": 0.7, "low": 0.69, "high": 0.71, "n": 240, "note": ""}
        share = {"teacher": {"value": lift, "low": lift - 0.1, "high": lift + 0.1, "n": 240}}
        test = {"n": 240, "metrics": {"teacher": {"m": figures}, "ceiling": {"m": figures}}, "lift_share": share}
        tasks = {task.name: {"kind": task.kind, "metric": "m", "test": test} for task in small.platform.available_tasks}
        with small.lake.write(EVALUATION) as out:
            out.put(EVALUATION_FILE, to_json({"tasks": tasks}))

    return poison
