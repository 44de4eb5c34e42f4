"""How the teacher's gates divide a prediction among its experts, for the customers that a month shows something.

A gate weight says how much an expert's output counts in the mix, not why a product is shown: it belongs to the event that the
explaining term predicts (as shipped, whether anything is acquired), is the same for all products of a customer that this event
explains, and the choice model, which orders the products, has no experts. So shares are told to the employee alone, with the
measured correlation of gate weights with what it does to a prediction, and to its loss, to take an expert out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import EXPERT_SHARES, EXPLANATIONS, RECOMMENDATIONS, SCORED_BY, TEACHER
from finai_assets.bundle.registry import Registry as BundleRegistry
from finai_assets.features.registry import Registry
from finai_assets.settings import Settings
from finai_assets.teacher.result import TeacherResult, predict
from finai_assets.teacher.store import teacher_from_files
from finai_assets.training.matrix import load_matrix, month_features
from finai_assets.training.side import SideTensor, fill_side, width_of
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import report_progress

SUMMARY = "explanations.json"  # of the teacher's explanations
FAITHFULNESS = "faithfulness.json"
SHARE = pa.struct([("expert", pa.string()), ("share", pa.float32())])
SCHEMA = pa.schema([("customer_id", pa.int64()), ("task", pa.string()), ("shares", pa.list_(SHARE))])
TOO_MANY = "the teacher would have to look at more customers than lists.expert_shares.most_customers"
OTHER_TEACHER = "the teacher that is stored is not the one that the scoring bundle was made from"
TOLD = 3  # experts that the text names
_NAMES = {
    "deepfm": ("특성 조합", "combinations of features"),
    "temporal": ("소비 추세", "spending trend"),
    "hgcn": ("상품·가맹점 계층", "hierarchy of products and merchants"),
    "perslay": ("소비 패턴의 형태", "shape of spending"),
    "lightgcn": ("상품 적합", "product fit"),
    "causal": ("인과 구조", "causal structure"),
    "optimal_transport": ("고객 분포", "place among customers"),
    "task_mlp": ("과업 고유", "the task's own"),
}


@dataclass(frozen=True)
class ExpertShares:
    """The shares of a month.

    Parameters
    ----------
    table : pa.Table
        :data:`SCHEMA`, by customer and task; shares are in the order of the gate's slots and add up to 1.
    faithfulness : dict
        Task to ``change`` and ``loss``: the mean rank correlation, over the experts of a row, of gate weight and of how far the
        prediction moves, or its loss rises, without the expert, each with ``low`` and ``high``; and ``faithful``, whether the
        low end of the first reaches ``lists.expert_shares.faithful``.
    absent : str
        Why there are no shares; empty where there are.
    """

    table: pa.Table
    faithfulness: dict[str, Any]
    absent: str = ""


def expert_shares(session: LakeSession, month: Month, registry: Registry, settings: Settings) -> ExpertShares:
    """Let the stored teacher look at the customers who are shown something, in one batch.

    Raises
    ------
    LakeError
        The month was not scored, or a feature partition is absent.
    """
    shown = session.read(RECOMMENDATIONS, month.key, columns=["customer_id", "explained_by"])
    scored_by = session.manifest(RECOMMENDATIONS, month.key).extra[SCORED_BY]
    registered = BundleRegistry.read(session.lake).registrations.get(scored_by)
    lineage = registered.record["lineage"] if registered else {}
    if lineage.get(TEACHER) != session.manifest(TEACHER).content_hash:
        return ExpertShares(SCHEMA.empty_table(), {}, OTHER_TEACHER)
    asked = shown.filter(pc.is_valid(shown["explained_by"])).group_by(["customer_id", "explained_by"]).aggregate([])
    customer = np.unique(asked["customer_id"].to_numpy())
    tasks = sorted(set(asked["explained_by"].to_pylist()))
    if not len(customer) or len(customer) > settings.lists.expert_shares.most_customers:
        return ExpertShares(SCHEMA.empty_table(), {}, TOO_MANY if len(customer) else "")
    teacher = teacher_from_files(session.read_files(TEACHER))
    gates = _gates(session, month, customer, tasks, registry, teacher, load_matrix(session).tensors, settings)
    wanted = set(zip(asked["customer_id"].to_pylist(), asked["explained_by"].to_pylist(), strict=True))
    parts = [_rows(customer, task, gates[task], teacher.slot_names[task], wanted) for task in tasks]
    table = pa.concat_tables(parts).sort_by([("customer_id", "ascending"), ("task", "ascending")])
    summary = session.read_json(EXPLANATIONS, None, SUMMARY)["tasks"]
    return ExpertShares(table, {task: faithfulness_of(summary[task]["gate"], settings) for task in tasks})


def _gates(
    session: LakeSession,
    month: Month,
    customer: np.ndarray,
    tasks: Sequence[str],
    registry: Registry,
    teacher: TeacherResult,
    tensors: Sequence[SideTensor],
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Return the gate weights of some tasks, float32 [n, slots] each, block by block."""
    parts: dict[str, list[np.ndarray]] = {task: [] for task in tasks}
    block = settings.lake.block_customers
    for begin in range(0, len(customer), block):
        report_progress("expert shares", begin, len(customer))
        wanted = customer[begin : begin + block]
        ids, X = month_features(session, month, registry, int(wanted[0]), int(wanted[-1]))
        side = None
        if tensors:
            side = np.empty((len(wanted), width_of(tensors)), np.float32)
            fill_side(session, registry, tensors, month.key, wanted, side)
        _, gates = predict(teacher, X[np.searchsorted(ids, wanted)], teacher.settings.batch_rows, side)
        for task in tasks:
            parts[task].append(gates[task])
    return {task: np.concatenate(found) for task, found in parts.items()}


def _rows(
    customer: np.ndarray, task: str, weights: np.ndarray, slots: Sequence[str], wanted: set[tuple[int, str]]
) -> pa.Table:
    kept = np.array([(identity, task) in wanted for identity in customer.tolist()])
    total = weights.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.divide(weights, total, out=np.zeros(weights.shape), where=total > 0.0)[kept]
    values = pa.StructArray.from_arrays(
        [pa.array(list(slots) * len(shares), pa.string()), pa.array(shares.ravel().astype(np.float32))],
        fields=list(SHARE),
    )
    ends = np.arange(0, shares.size + 1, len(slots), dtype=np.int32)
    columns = [
        pa.array(customer[kept]),
        pa.array([task] * len(shares), pa.string()),
        pa.ListArray.from_arrays(ends, values),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def faithfulness_of(gate: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return what was measured of a task's gate on test rows, and whether it is enough."""
    change, loss = gate["order_in_row"]["change"], gate["order_in_row"]["loss"]
    low = change["low"]
    return {
        "change": change,
        "loss": loss,
        "faithful": low is not None and low >= settings.lists.expert_shares.faithful,
    }


def shares_of_customer(session: LakeSession, month: Month, customer_id: int) -> dict[str, dict[str, Any]]:
    """Return the shares of one customer by task: ``shares`` by expert, ``faithfulness``, and ``banker``, the text."""
    if session.find(EXPERT_SHARES, month.key) is None:
        return {}
    rows = session.read_customers(EXPERT_SHARES, month.key, customer_id, customer_id).to_pylist()
    measured = session.read_json(EXPERT_SHARES, month.key, FAITHFULNESS)
    return {
        row["task"]: {
            "shares": {entry["expert"]: entry["share"] for entry in row["shares"]},
            "faithfulness": measured[row["task"]],
            "banker": told(row["shares"], measured[row["task"]]),
        }
        for row in rows
    }


def told(shares: Sequence[Mapping[str, Any]], faithfulness: Mapping[str, Any]) -> dict[str, str]:
    """Return the sentences for the employee, ``ko`` and ``en``: the largest shares, beside how faithful such shares are."""
    largest = sorted(shares, key=lambda entry: -entry["share"])[:TOLD]
    texts = []
    for place in range(2):
        named = [(_NAMES.get(entry["expert"], (entry["expert"],) * 2)[place], entry["share"]) for entry in largest]
        texts.append(", ".join(f"{name} {share:.0%}" for name, share in named))
    change, loss = (_cell(faithfulness[name]) for name in ("change", "loss"))
    ko = (
        f"교사 모델의 전문가 비중: {texts[0]}. 이 고객에게 안내하는 상품들에 공통이며 상품 간 순서를 설명하지 않습니다. "
        f"비중과 전문가 제외 시 예측 변화의 순위 상관은 {change}, 손실 증가와는 {loss}입니다."
    )
    en = (
        f"Shares of the teacher's experts: {texts[1]}. They are common to the products shown, and do not explain their order. "
        f"Rank correlation with how far the prediction moves without the expert {change}, with the rise of its loss {loss}."
    )
    if not faithfulness["faithful"]:
        ko += " 상관이 낮으므로 비중을 근거로 삼지 마십시오."
        en += " The correlation is low: do not argue with these shares."
    return {"ko": ko, "en": en}


def _cell(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "-"
    value = f"{estimate['value']:.2f}"
    return value if estimate["low"] is None else f"{value} ({estimate['low']:.2f}..{estimate['high']:.2f})"
