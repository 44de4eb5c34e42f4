"""Explains a trained teacher on a sample of test customers, and measures how faithful the explanations are.

Train rows give the baseline and the replacement of an expert; test rows are explained, and choose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import EXPLANATIONS
from finai_assets.evaluation.explanation import gate_faithfulness, importance
from finai_assets.evaluation.explanation.ablation_of_experts import REPLACED, Ablation, ablate, mean_views, views_of
from finai_assets.evaluation.explanation.deletion import BEATS, judge, mask_rows
from finai_assets.evaluation.explanation.expert_gradients import ExpertAttributions, attribute_experts
from finai_assets.evaluation.explanation.gradients import Attributions, Attributor
from finai_assets.evaluation.explanation.inputs import Inputs
from finai_assets.evaluation.explanation.rows import ExplainedRows, scales
from finai_assets.features.sampling import sample_customers
from finai_assets.settings.method import OWN_SLOT
from finai_assets.teacher.network.router import Route, make_route
from finai_assets.teacher.result import deterministic
from finai_resources.errors import GateError
from finai_resources.json_text import plain
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from finai_assets.evaluation.explanation.rows import Scale
    from finai_assets.settings import Settings
    from finai_assets.teacher.result import TeacherResult
    from finai_assets.training.matrix import TrainingMatrix

ROUNDING = 1e-4  # of predictions that were computed in batches of another size
TOP_INPUTS = 20  # of a task, in the summary


@dataclass(frozen=True)
class Explanation:
    """The stored explanations: the summary as plain values, and each explained row's most important inputs."""

    summary: dict[str, Any]
    top: pa.Table

    def facts(self) -> dict[str, Any]:
        """Return the metadata of the stored explanations."""
        counts, rank = self.summary["summary"], self.summary["gates"][REPLACED]["loss"]["over_all"]["value"]
        return {
            "tasks": counts["tasks"],
            "tasks_whose_attributions_beat_random": counts["beats_random"],
            "tasks_whose_attributions_add_up": counts["complete"],
            "rows": self.summary["sample"]["rows"],
            **({} if rank is None else {"gate_weight_against_loss_increase": rank}),
        }


def explain(  # the model, its rows, and its stored predictions of them
    teacher: TeacherResult,
    matrix: TrainingMatrix,
    stored: Mapping[str, np.ndarray],
    settings: Settings,
) -> Explanation:
    """Explain a sample of test rows.

    Parameters
    ----------
    stored : task -> float32 [rows of the matrix] or [rows, classes]
        The published predictions, which must be this teacher's.

    Raises
    ------
    GateError
        There are no train or no test rows, or the stored predictions are another teacher's.
    """
    chosen, seed = settings.explanations, settings.seed
    model = teacher.model.eval()
    with deterministic(settings.teacher.threads, seed):
        rows = ExplainedRows.sample(matrix, teacher, "test", chosen.rows, seed)
        more = ExplainedRows.sample(matrix, teacher, "test", chosen.ablation_rows, seed)
        if not len(rows) or not len(more):
            raise GateError("there are no test rows", where=EXPLANATIONS, fix="widen splits.test")
        inputs = Inputs.of(teacher.normaliser, routes_of(teacher))
        train = sample_customers(matrix.customer, matrix.rows("train"), chosen.train_rows, seed)
        baseline = inputs.baseline(matrix.X, matrix.side, train, teacher.normaliser)
        attributor = Attributor(model, inputs, baseline, steps=chosen.steps, batch_rows=chosen.batch_rows, seed=seed)
        attributions = attributor(rows.x, rows.customer, rows.month)
        curves = mask_rows(teacher, inputs, baseline, rows, attributions.values, chosen, seed)
        _demand_same(curves.full, stored, rows)
        background = teacher.normaliser.transform(matrix.X[train], None if matrix.side is None else matrix.side[train])
        means = mean_views(views_of(model, background, chosen.batch_rows))
        units = scales(matrix)
        views = views_of(model, more.x, chosen.batch_rows)
        ablation = ablate(teacher, views, means, more, units, chosen.batch_rows)
        experts = attribute_experts(
            model,
            views_of(model, rows.x, chosen.batch_rows),
            means,
            steps=2 * chosen.steps,  # the later layers are steep near the mean, and cheap
            batch_rows=chosen.batch_rows,
        )
        names = tuple(task.name for task in model.tasks)
        tasks = {}
        for done, name in enumerate(names):
            tasks[name] = {
                "kind": units[name].task.kind,
                "deletion": judge(curves, rows, units[name], settings.metrics, seed, inputs=len(inputs)),
                **_attributed(attributions, experts, names.index(name), inputs, settings),
                "gate": gate_faithfulness.of_task(ablation, name, more.customer, settings.metrics, seed),
            }
            report_progress("resamples", done + 1, len(names))
    summary = {
        "tasks": tasks,
        "gates": _gates(ablation, units, more, settings),
        "summary": _counts(tasks),
        "sample": {
            "dataset": settings.dataset.name,
            "rows": len(rows),
            "customers": len(np.unique(rows.customer)),
            "ablation_rows": len(more),
            "ablation_customers": len(np.unique(more.customer)),
            "train_rows": len(train),
            "months": sorted(set(rows.month.tolist())),
        },
        "inputs": len(inputs),
        "slots": list(ablation.slots),
        "settings": chosen.model_dump(mode="json"),
    }
    return Explanation(summary, importance.top_table(attributions, rows, inputs, names, chosen.top))


def _demand_same(found: Mapping[str, np.ndarray], stored: Mapping[str, np.ndarray], rows: ExplainedRows) -> None:
    for name, values in found.items():
        apart = float(np.abs(stored[name][rows.at] - values).max())
        if not apart <= ROUNDING * max(1.0, float(np.abs(values).max())):
            raise GateError(
                f"predictions of {name} differ from the stored ones by up to {apart:.2g}",
                where=EXPLANATIONS,
                fix="materialise teacher/predictions again",
            )


def routes_of(teacher: TeacherResult) -> tuple[Route, ...]:
    """Return the routes of a teacher's experts."""
    chosen = teacher.settings
    return tuple(make_route(chosen.routing[name], teacher.normaliser) for name in (*chosen.experts, OWN_SLOT))


def _attributed(
    attributions: Attributions, experts: ExpertAttributions, task: int, inputs: Inputs, settings: Settings
) -> dict[str, Any]:
    chosen = settings.explanations
    return {
        "completeness": importance.completeness(attributions, task, chosen.tolerance),
        "importance": importance.of_inputs(attributions, task, inputs, TOP_INPUTS),
        "experts": importance.of_experts(experts, task),
    }


def _gates(ablation: Ablation, units: Mapping[str, Scale], rows: ExplainedRows, settings: Settings) -> dict[str, Any]:
    trivial = {name: units[name].trivial_loss(rows.labels[name]) for name in ablation.tasks}
    found = gate_faithfulness.across_cells(ablation, trivial, rows.customer, settings.metrics, settings.seed)
    return {**found, "trivial_loss": plain(trivial)}


def _counts(tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Count verdicts."""
    found: dict[str, Any] = {"tasks": len(tasks)}
    found["beats_random"] = sum(task["deletion"]["verdict"] == BEATS for task in tasks.values())
    found["beats_random_skill"] = sum(task["deletion"]["verdict_skill"] == BEATS for task in tasks.values())
    found["beats_random_loss"] = sum(task["deletion"]["verdict_loss"] == BEATS for task in tasks.values())
    found["complete"] = sum(task["completeness"]["met"] for task in tasks.values())
    ways = next(iter(tasks.values()))["gate"]["top_expert"]
    found["top_expert_beats_random"] = {
        way: sum(task["gate"]["top_expert"][way]["verdict"] == BEATS for task in tasks.values()) for way in ways
    }
    return found
