"""C14 and C15: neither teacher nor students read a prohibited attribute, and strong proxies of one are assessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from finai_assets.asset_graph import MATRIX, PROTECTED, TEACHER, student_asset
from finai_assets.platform import Platform
from finai_assets.students.card import DIRECT_MODEL, MODEL, read_card
from finai_assets.training.matrix import TrainingMatrix, load_matrix
from finai_checks.fairness.protected import Carrier, by_column, carriers, protected_rows
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare, declare_together

_MANY = 1000  # customers, from which a second thread is worth its start

ABSENT = CheckKind(
    "C14",
    "prohibited_inputs_absent",
    "no model reads a prohibited attribute under its own name, a derivative of it, or an exact proxy",
    blocking=True,
    minimum=1,
    units="columns",
    thresholds=("checks.prohibited_inputs", "inputs.withheld"),
)
# On the matrix and not on each month of features: the models cost some seconds, ten times all checks of a month of 10,000
# customers together, and what a model may learn of an attribute is in the rows that it learns from.
STRENGTH = CheckKind(
    "C15",
    "proxy_strength",
    "no group of a protected attribute can be predicted, from the columns that models read, with an AUC above the threshold, "
    "unless a valid assessment of the attribute is declared",
    blocking=False,
    minimum=100,
    units="customers",
    thresholds=("checks.proxy_strength",),
)
KINDS = (ABSENT, STRENGTH)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put C14 on the teacher and the students, and C15 on the training matrix where protected attributes are known."""
    settings, students = platform.settings, [student_asset(task.name) for task in platform.available_tasks]
    return [
        *([declare(STRENGTH, MATRIX, evaluate_proxies, settings)] if PROTECTED in platform.graph else []),
        declare(ABSENT, TEACHER, evaluate_teacher_inputs, settings),
        *declare_together(ABSENT, students, evaluate_student_inputs, settings),
    ]


def evaluate_teacher_inputs(context: CheckContext, asset: str) -> CheckOutcome:
    """Judge the columns that the teacher reads, and whether its predictions follow columns that it is not said to read."""
    from finai_assets.teacher.store import teacher_from_files
    from finai_checks.fairness.prohibited_inputs import (
        prohibited,
        prohibited_inputs_absent,
        reacting_tasks,
        read_by_teacher,
    )

    matrix, sources, policy = load_matrix(context.session), _sources(context), context.settings.checks.prohibited_inputs
    teacher = teacher_from_files(context.session.read_files(asset))
    read, carried = read_by_teacher(teacher.normaliser.layout, teacher.settings), _carried(context, matrix)
    barred = [name for name in prohibited(matrix.columns, sources, carried, policy) if name not in set(read)]
    reacts = reacting_tasks(teacher, matrix, barred, rows=policy.probe_rows) if barred else ()
    return prohibited_inputs_absent(
        read, sources, carried, policy=policy, reacts=reacts, altered_without_effect=[] if reacts else barred
    )


def evaluate_student_inputs(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Judge the columns that each student reads, and the direct student behind a copy, by its card and by its models."""
    from finai_checks.fairness.prohibited_inputs import prohibited_inputs_absent

    session, sources, policy = context.session, _sources(context), context.settings.checks.prohibited_inputs
    carried, outcomes = _carried(context, load_matrix(session)), {}
    for asset in assets:
        card = read_card(session, asset)
        if card.route == "SKIP":
            outcomes[asset] = CheckOutcome(True, "route SKIP: no model reads anything", 1, {"route": "SKIP"})
            continue
        stored = (MODEL, DIRECT_MODEL) if card.direct else (MODEL,)
        named = [name for file in stored for name in _names_in(session.read_bytes(asset, None, file).decode())]
        read = tuple(dict.fromkeys([*card.columns_read, *named]))
        outcomes[asset] = prohibited_inputs_absent(read, sources, carried, policy=policy, route=card.route)
    return outcomes


def evaluate_proxies(context: CheckContext, asset: str) -> CheckOutcome:
    """Measure the proxies of each attribute among the columns of the matrix that models read."""
    from finai_checks.fairness.proxy_strength import proxy_strength

    matrix, settings = load_matrix(context.session), context.settings
    rules, policy = settings.checks.proxy_strength, settings.checks.prohibited_inputs.permitted
    known = protected_rows(context.session, matrix, customers=rules.customers, seed=settings.seed)
    read = [index for index, name in enumerate(matrix.columns) if not settings.inputs.withholds(name)]
    return proxy_strength(
        matrix.X[known.rows][:, read],
        [matrix.columns[index] for index in read],
        known.customer,
        known.attributes,
        openly=[(attribute, column) for attribute, entry in policy.items() for column in entry.columns],
        rules=rules,
        confidence=settings.metrics.confidence,
        seed=settings.seed,
        threads=settings.lake.workers if len(known.rows) >= _MANY else 1,
    )


def _sources(context: CheckContext) -> dict[str, Sequence[str]]:
    """Return the declared raw inputs of each column, and for each side tensor those of all columns of its group."""
    registry = context.platform.registry
    sources: dict[str, Sequence[str]] = {column.name: column.inputs for column in registry.columns}
    for group in registry.available:
        inputs = tuple(sorted({source for column in group.declared for source in column.inputs}))
        sources |= {f"{group.name}.{tensor.name}": inputs for tensor in group.tensors}
    return sources


def _carried(context: CheckContext, matrix: TrainingMatrix) -> Mapping[str, Sequence[Carrier]]:
    """Return the exact proxies among the columns of the matrix, by column; none where no protected attribute is known."""
    if PROTECTED not in context.platform.graph:
        return {}
    policy, seed = context.settings.checks.prohibited_inputs, context.settings.seed
    known = protected_rows(context.session, matrix, customers=policy.customers, seed=seed)
    X = np.ascontiguousarray(matrix.X[known.rows])
    return by_column(carriers(X, matrix.columns, known.attributes, one_to_one=policy.one_to_one))


def _names_in(model: str) -> list[str]:
    """Return the columns that a LightGBM model says it reads."""
    line = next((line for line in model.splitlines() if line.startswith("feature_names=")), "=")
    return line.partition("=")[2].split()
