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
from finai_assets.training.matrix import DESCRIPTION
from finai_checks.framework.check import CheckKind, LakeCanary
from finai_checks.framework.small_lake import SmallLake
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
from finai_checks.labels.recomputed import as_label
from finai_checks.labels.statements import STATEMENTS, Around, ask, statement_of
from finai_checks.labels.value_canaries import plain_canaries
from finai_resources.json_text import to_json

__all__ = ["lake_canaries", "plain_canaries"]

CHURN, STABILITY, FAMILY, COUNT = (
    label_asset(name) for name in ("churn_signal", "product_stability", "nba_primary", "cross_sell_count")
)
DEPOSITS = label_asset("will_acquire_deposits")
FIRST_MCC, DIVERSITY, SHIFT, SEGMENT = (
    label_asset(name) for name in ("next_mcc", "mcc_diversity_trend", "top_mcc_shift", "segment_prediction")
)
UNSTATED = label_asset("number_of_sales")


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
        bad(DEPOSITS, "the acquisitions of another set", "they are those of will_acquire_lending",
            _of_another("will_acquire_lending")),
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
        bad(DEPOSITS, "everybody acquires", "labels are events, outside", _changed(DEPOSITS, _all_ones), RATES),
        LakeCanary(FOLLOW_THE_TRUTH, COUNT, "a month as it was derived"),
        bad(SHIFT, "shifts of the wrong customers", "odds below", _changed(SHIFT, _inverted), FOLLOW_THE_TRUTH),
        LakeCanary(UNLIKE_BEFORE, COUNT, "a month as it was derived"),
        bad(COUNT, "what was acquired in the month before", "1.000 of", early(COUNT), UNLIKE_BEFORE),
        LakeCanary(CLASSES, MATRIX, "classes as they were fitted"),
        bad(MATRIX, "a class that is rarer than another", "stand in place of",
            _vocabulary(lambda classes: [*classes[:-2], "1", "other"]), CLASSES),
        bad(MATRIX, "classes in another order", "in another order", _vocabulary(_exchanged), CLASSES),
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


def _exchanged(classes: list[str]) -> list[str]:
    return [classes[1], classes[0], *classes[2:]]


def _evaluated(lift: float) -> Callable[[SmallLake], None]:
    """Return what stores an evaluation in which every teacher gets so far from the trivial forecast to the ceiling."""

    def poison(small: SmallLake) -> None:
        figures = {"value": 0.7, "low": 0.69, "high": 0.71, "n": 240, "note": ""}
        share = {"teacher": {"value": lift, "low": lift - 0.1, "high": lift + 0.1, "n": 240}}
        test = {
            "n": 240,
            "positives": 120,
            "classes": [120, 120],
            "metrics": {"teacher": {"m": figures}, "ceiling": {"m": figures}},
            "lift_share": share,
        }
        tasks = {task.name: {"kind": task.kind, "metric": "m", "test": test} for task in small.platform.available_tasks}
        with small.lake.write(EVALUATION) as out:
            out.put(EVALUATION_FILE, to_json({"tasks": tasks}))

    return poison
