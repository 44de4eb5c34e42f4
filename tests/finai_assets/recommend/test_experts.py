"""Shares of the teacher's experts are told of those who are shown something, with how faithful they are, or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bundle_fixtures import Made

from finai_assets.asset_graph import EXPERT_SHARES, EXPLANATIONS, RECOMMENDATIONS, TEACHER
from finai_assets.bundle.registry import register
from finai_assets.recommend import experts
from finai_assets.recommend.experts import (
    OTHER_TEACHER,
    TOO_MANY,
    ExpertShares,
    expert_shares,
    shares_of_customer,
    told,
)
from finai_assets.settings import Settings, load_settings
from finai_resources.json_text import to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

SLOTS = ("temporal", "lightgcn", "task_mlp")
TASK = "nba_primary"
HIGH = {"value": 0.7, "low": 0.6, "high": 0.8}
LOW = {"value": 0.4, "low": 0.3, "high": 0.5}
SHOWN = [
    (7, TASK),
    (7, TASK),
    (10, None),
    (13, TASK),
    (16, None),
    (16, TASK),
]  # of 90 customers; some rows are by rules


@pytest.fixture
def settings() -> Settings:
    return load_settings("synthetic", "smoke", overrides={"lake": {"block_customers": 2}})


@pytest.fixture
def served(lake: Lake, month: Month, bundle_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A scored month, a teacher that weighs by the first column, and its explanations."""
    with lake.write(TEACHER) as out:
        out.put("weights.bin", b"a teacher")
    lineage = {TEACHER: lake.manifest(TEACHER).content_hash}
    bundle_id = register(lake, bundle_files, lineage)
    with lake.write(RECOMMENDATIONS, month.key, extra={"bundle_id": bundle_id}) as out:
        out.write(
            pa.table(
                {
                    "customer_id": pa.array([customer for customer, _ in SHOWN], pa.int64()),
                    "explained_by": pa.array([task for _, task in SHOWN], pa.string()),
                }
            )
        )
    gate = {"order_in_row": {"change": HIGH, "loss": LOW}}
    with lake.write(EXPLANATIONS) as out:
        out.put(experts.SUMMARY, to_json({"tasks": {TASK: {"gate": gate}}}))

    def predict(_teacher: Any, X: np.ndarray, _rows: int, side: Any) -> Any:
        assert side is None
        return {}, {TASK: np.column_stack([np.abs(X[:, 0]) + 1.0, np.full(len(X), 2.0), np.zeros(len(X))])}

    teacher = SimpleNamespace(slot_names={TASK: SLOTS}, settings=SimpleNamespace(batch_rows=8))
    monkeypatch.setattr(experts, "predict", predict)
    monkeypatch.setattr(experts, "teacher_from_files", lambda _files: teacher)
    monkeypatch.setattr(experts, "load_matrix", lambda _session: SimpleNamespace(tensors=()))
    return lake


def found_in(lake: Lake, month: Month, made: Made, settings: Settings) -> ExpertShares:
    return expert_shares(LakeSession(lake), month, made.registry, settings)


def test_whoever_is_shown_something_by_models_has_shares_that_add_up(
    served: Lake, month: Month, made: Made, settings: Settings
) -> None:
    found = found_in(served, month, made, settings)
    assert found.absent == ""
    assert found.table["customer_id"].to_pylist() == [7, 13, 16]
    first = made.registry.available[0]
    values = served.read(first.asset, month.key, columns=["customer_id", made.registry.names[0]]).to_pylist()
    weight = {row["customer_id"]: abs(row[made.registry.names[0]]) + 1.0 for row in values}
    for row in found.table.to_pylist():
        shares = {entry["expert"]: entry["share"] for entry in row["shares"]}
        own = weight[row["customer_id"]]
        assert tuple(shares) == SLOTS
        assert shares["temporal"] == pytest.approx(own / (own + 2.0), rel=1e-6)
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)
    assert found.faithfulness == {TASK: {"change": HIGH, "loss": LOW, "faithful": True}}
    with served.write(EXPERT_SHARES, month.key) as out:
        out.write(found.table)
        out.put(experts.FAITHFULNESS, to_json(found.faithfulness))
    of = shares_of_customer(LakeSession(served), month, 13)[TASK]
    assert of["faithfulness"]["faithful"]
    assert "소비 추세" in of["banker"]["ko"]
    assert shares_of_customer(LakeSession(served), month, 10) == {}
    assert shares_of_customer(LakeSession(served), month + 1, 13) == {}


def test_shares_of_another_teacher_or_of_too_many_customers_are_not_told(
    served: Lake, month: Month, made: Made, settings: Settings
) -> None:
    few = settings.lists.expert_shares.model_copy(update={"most_customers": 2})
    narrow = settings.model_copy(update={"lists": settings.lists.model_copy(update={"expert_shares": few})})
    found = found_in(served, month, made, narrow)
    assert (found.table.num_rows, found.absent) == (0, TOO_MANY)
    with served.write(TEACHER) as out:
        out.put("weights.bin", b"the next teacher")
    found = found_in(served, month, made, settings)
    assert (found.table.num_rows, found.absent) == (0, OTHER_TEACHER)


def test_the_text_names_the_largest_shares_and_warns_where_they_are_not_faithful() -> None:
    shares = [{"expert": "perslay", "share": 0.05}, {"expert": "temporal", "share": 0.35},
              {"expert": "lightgcn", "share": 0.28}, {"expert": "an expert without a name", "share": 0.32}]  # fmt: skip
    text = told(shares, {"change": HIGH, "loss": LOW, "faithful": True})
    assert "소비 추세 35%, an expert without a name 32%, 상품 적합 28%" in text["ko"]
    assert "spending trend 35%" in text["en"]
    assert "do not argue" not in text["en"]
    doubtful = told(shares, {"change": LOW, "loss": {"value": None, "low": None, "high": None}, "faithful": False})
    assert doubtful["en"].endswith("The correlation is low: do not argue with these shares.")
    assert "0.40 (0.30..0.50)" in doubtful["ko"]
    assert "상관이 낮으므로" in doubtful["ko"]
