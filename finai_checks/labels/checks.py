"""C45 and C46: labels are what they are defined to be, and no model knows more than there is to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from finai_assets.asset_graph import (
    BUNDLE,
    EVALUATION,
    MATRIX,
    SOURCE,
    TRANSACTIONS,
    Partitions,
    student_asset,
    truth_asset,
)
from finai_assets.labels.task import Task
from finai_assets.partitions import existing_months
from finai_assets.platform import Platform
from finai_assets.students.card import read_card
from finai_assets.training.matrix import DESCRIPTION
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare, declare_together
from finai_checks.labels.alterations import derive_again, labels_see_their_window_alone
from finai_checks.labels.ceiling import models_not_above, students_not_above
from finai_checks.labels.rates import label_rates
from finai_checks.labels.recomputed import classes_recomputed, labels_recomputed
from finai_checks.labels.resemblance import unlike_the_month_before
from finai_checks.labels.statements import STATEMENTS, Around, Statement, ask, ask_all, months_read, statement_of
from finai_checks.labels.truth import labels_follow_the_truth
from finai_checks.labels.window import is_immature, window_faults
from finai_resources.errors import FinaiError
from finai_resources.manifest import address

EVALUATION_FILE = "evaluation.json"

RECOMPUTED = CheckKind(
    "C45",
    "labels_recomputed",
    "each customer of the snapshot has one label, equal to the bit to what an independent statement in SQL gives from the raw "
    "months of the label's window alone, null where it is not defined, and the window has fully passed",
    blocking=True,
    minimum=1,
    units="labels",
    thresholds=("horizon_months", "tasks", "acquisition_sets"),
)
RATES = CheckKind(
    "C45",
    "label_rates",
    "the share of a month's events, and of customers without a label, lies within its declared limits, but for chance of one in "
    "a million",
    blocking=True,
    minimum=1,
    units="labels",
    thresholds=("checks.labels.rates", "checks.labels.declared_rates"),
)
FOLLOW_THE_TRUTH = CheckKind(
    "C45",
    "labels_follow_the_truth",
    "on generated customers a month's labels occur as often as the law of that month says, and to the customers that it names; "
    "each sum that is compared would be refused by chance at most once in ten million",
    blocking=True,
    minimum=1,
    units="labels",
)
WINDOW_ALONE = CheckKind(
    "C45",
    "labels_see_their_window_alone",
    "no label of the last train month changes where everything is altered that lies outside what its task declares",
    blocking=True,
    minimum=1,
    units="labels",
    thresholds=("checks.probe_customers",),
    audit=True,
)
CLASSES = CheckKind(
    "C45",
    "classes_recomputed",
    "the classes of a task whose label is a code are the most frequent codes of the train months' labels, counted in SQL",
    blocking=True,
    minimum=1,
    units="labels of train",
    thresholds=("tasks",),
)
UNLIKE_BEFORE = CheckKind(
    "C46",
    "labels_unlike_the_month_before",
    "a label is not the same quantity of the window that ends at the cutoff, which features see",
    blocking=True,
    minimum=1,
    units="labels",
    thresholds=("checks.labels.same_as_before", "checks.labels.lasting"),
)
NOT_ABOVE_CEILING = CheckKind(
    "C46",
    "not_above_the_ceiling",
    "where the law of the labels is known, no model scores above it on test rows by the whole of its interval, which a model "
    "that is as good as the law itself would by chance do in 1 of 40",
    blocking=True,
    minimum=1,
    units="test rows",
    thresholds=("metrics.confidence", "checks.metric_floor.positives"),
)
KINDS = (RECOMPUTED, RATES, FOLLOW_THE_TRUTH, CLASSES, WINDOW_ALONE, UNLIKE_BEFORE, NOT_ABOVE_CEILING)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the checks on the labels of every month, and on what tells the scores of models."""
    settings, tasks = platform.settings, platform.available_tasks
    labels, months = [task.asset for task in tasks], tuple(existing_months(Partitions.MATURE, settings))
    checks = [
        *declare_together(RECOMPUTED, labels, evaluate_labels, settings, months=months),
        *declare_together(RATES, labels, evaluate_rates, settings, months=months),
        *declare_together(UNLIKE_BEFORE, labels, evaluate_resemblance, settings, months=months),
        declare(WINDOW_ALONE, MATRIX, evaluate_alterations, settings),
    ]
    if any(task.vocabulary is not None for task in tasks):
        checks.append(declare(CLASSES, MATRIX, evaluate_classes, settings))
    if SOURCE in platform.graph:  # the source is generated, and its law known
        known = [task.asset for task in tasks if task.truth]
        checks += [
            *declare_together(FOLLOW_THE_TRUTH, known, evaluate_truth, settings, months=months),
            declare(NOT_ABOVE_CEILING, EVALUATION, evaluate_models, settings),
            declare(NOT_ABOVE_CEILING, BUNDLE, evaluate_students, settings),
        ]
    return checks


def evaluate_labels(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Ask for the labels of a month in SQL, all tasks together, and compare them with those stored."""
    month, horizon = context.required_month, context.settings.horizon_months
    chosen, outcomes = _stated(context, assets)
    immature = is_immature(month, context.settings)
    if immature:
        return {asset: CheckOutcome(False, immature, 0) for asset in assets}
    around = Around(month, month, horizon)
    defined = ask_all(
        context.session, {task.asset: (statement, around) for task, statement in chosen}, context.settings
    )
    outcomes |= {task.asset: _recomputed(context, task, statement, defined[task.asset]) for task, statement in chosen}
    return outcomes


def _stated(
    context: CheckContext, assets: Sequence[str]
) -> tuple[list[tuple[Task, Statement]], dict[str, CheckOutcome]]:
    """Return the tasks with their independent statements, and the failures of those that have none."""
    chosen: list[tuple[Task, Statement]] = []
    failed: dict[str, CheckOutcome] = {}
    for asset, task in _tasks(context, assets):
        try:
            chosen.append((task, statement_of(task)))
        except FinaiError as error:
            failed[asset] = CheckOutcome(False, f"not assessed: {error}", 0)
    return chosen, failed


def _recomputed(context: CheckContext, task: Task, statement: Statement, defined: pa.Table) -> CheckOutcome:
    session, settings, month = context.session, context.settings, context.required_month
    around = Around(month, month, settings.horizon_months)
    read = months_read(statement, around, settings)
    faults = window_faults(
        task,
        settings.horizon_months,
        statement.months(settings, around.horizon),
        session.manifest(task.asset, month.key).upstream,
        {address(table, key) for table, keys in read.items() for key in keys},
    )
    stored = session.read(task.asset, month.key, columns=["customer_id", "label"])
    outcome = labels_recomputed(stored, defined, task.type, lambda: _look_alikes(context, task, statement))
    reason = "; ".join([*faults, *([outcome.reason] if outcome.reason else [])])
    return replace(outcome, passed=outcome.passed and not faults, reason=reason)


def _look_alikes(context: CheckContext, task: Task, statement: Statement) -> Mapping[str, pa.Array]:
    """Return what wrong labels of a month could be: those of another window, or of another task."""
    month, horizon = context.required_month, context.settings.horizon_months
    of_others = {
        f"those of {other.name}": (STATEMENTS[other.name], Around(month, month, horizon))
        for other in context.platform.available_tasks
        if other.name != task.name and other.name in STATEMENTS
    }
    asked = {
        "those of one month early": (statement, Around(month, month - 1, horizon)),
        "those of one month late": (statement, Around(month, month + 1, horizon)),
        "those of a window that is one month longer": (statement, Around(month, month, horizon + 1)),
        **of_others,
    }
    found = {name: pair for name, pair in asked.items() if _is_stored(context, *pair)}
    answers = ask_all(context.session, found, context.settings)
    return {name: answer["label"] for name, answer in answers.items()}


def _is_stored(context: CheckContext, statement: Statement, around: Around) -> bool:
    """Return whether the lake holds every raw month that a question reads."""
    first, settings = context.settings.dataset.raw_months.first, context.settings
    offsets = statement.months(settings, around.horizon)
    begins = min(around.month - around.horizon + 1, around.month) if offsets[TRANSACTIONS] else around.month
    return begins >= first and all(
        context.session.lake.find(table, key) is not None
        for table, keys in months_read(statement, around, settings).items()
        for key in keys
    )


def evaluate_rates(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare the events of a month's labels with the declared limits."""
    limits = context.settings.checks.labels
    return {
        asset: label_rates(
            _label(context, asset)["label"].combine_chunks(), task.kind, limits.rate(task.name, task.kind)
        )
        for asset, task in _tasks(context, assets)
    }


def evaluate_truth(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare a month's labels with the generator's law."""
    month = context.required_month.key
    return {
        asset: labels_follow_the_truth(
            _label(context, asset), context.session.read(truth_asset(task.name), month), task.kind
        )
        for asset, task in _tasks(context, assets)
    }


def evaluate_resemblance(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare a month's labels with the same quantities of the month before."""
    month, horizon = context.required_month, context.settings.horizon_months
    around = Around(month, month - horizon, horizon)
    chosen, outcomes = _stated(context, assets)
    asked = {task.asset: (statement, around) for task, statement in chosen if _is_stored(context, statement, around)}
    before = ask_all(context.session, asked, context.settings)
    outcomes |= {task.asset: _resemblance(context, task, before.get(task.asset)) for task, _ in chosen}
    return outcomes


def _resemblance(context: CheckContext, task: Task, before: pa.Table | None) -> CheckOutcome:
    stored = _label(context, task.asset).sort_by("customer_id").combine_chunks()
    if before is None:
        return CheckOutcome(True, "the raw months begin too late to tell what was before", len(stored))
    if not before["customer_id"].combine_chunks().equals(stored["customer_id"].combine_chunks()):
        return CheckOutcome(False, "the labels are of other customers than the snapshot", len(stored))
    labels = context.settings.checks.labels
    lasting = labels.lasting.get(task.name)
    bound, reason = (lasting.bound, lasting.reason) if lasting else (labels.same_as_before, "")
    label, earlier = (table["label"].combine_chunks() for table in (stored, before))
    return unlike_the_month_before(label, earlier, bound, reason)


def evaluate_alterations(context: CheckContext, _asset: str) -> CheckOutcome:
    """Derive the labels of the last train month again from altered raw tables, task by task."""
    month, settings = context.platform.splits.train[-1], context.settings
    customers = settings.checks.probe_customers
    return labels_see_their_window_alone(
        [
            derive_again(context.session, task, month, settings, customers=customers)
            for task in context.platform.available_tasks
        ]
    )


def evaluate_classes(context: CheckContext, asset: str) -> CheckOutcome:
    """Count the codes of the train months in SQL, and compare the classes that the training matrix stores."""
    stored = {entry["name"]: entry for entry in context.session.read_json(asset, None, DESCRIPTION)["tasks"]}
    outcomes = []
    for task in context.platform.available_tasks:
        if task.vocabulary is not None:
            classes = stored.get(task.name, {}).get("class_labels", ())
            outcomes.append(classes_recomputed(task.name, classes, _codes(context, task), task.vocabulary))
    reason = "; ".join(outcome.reason for outcome in outcomes if outcome.reason)
    observed = {name: value for outcome in outcomes for name, value in outcome.observed.items()}
    return CheckOutcome(all(o.passed for o in outcomes), reason, sum(o.n for o in outcomes), observed)


def _codes(context: CheckContext, task: Task) -> list[int]:
    """Return the label of every customer and train month that has one, by the independent statement."""
    statement, horizon = statement_of(task), context.settings.horizon_months
    tables = [
        ask(context.session, statement, Around(month, month, horizon), context.settings)
        for month in context.platform.splits.train
    ]
    return [code for table in tables for code in table["label"].drop_null().to_pylist()]


def evaluate_models(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare every model of the evaluation with the ceiling."""
    evaluation = context.session.read_json(asset, None, EVALUATION_FILE)
    return models_not_above(evaluation, _with_truth(context.platform), context.settings.checks.metric_floor.positives)


def evaluate_students(context: CheckContext, _asset: str) -> CheckOutcome:
    """Compare every student with the ceiling of the evaluation."""
    cards = {name: read_card(context.session, student_asset(name)).values() for name in _with_truth(context.platform)}
    evaluation = context.session.read_json(EVALUATION, None, EVALUATION_FILE)
    return students_not_above(evaluation, cards, context.settings.checks.metric_floor.positives)


def _with_truth(platform: Platform) -> list[str]:
    return [task.name for task in platform.available_tasks if task.truth]


def _tasks(context: CheckContext, assets: Sequence[str]) -> Iterator[tuple[str, Task]]:
    """Yield the task of each asset that holds labels."""
    return ((task.asset, task) for task in context.platform.available_tasks if task.asset in assets)


def _label(context: CheckContext, asset: str) -> pa.Table:
    return context.session.read(asset, context.required_month.key, columns=["customer_id", "label"])
