"""The reference of columns is what the registry says, with what was measured of the groups."""

from __future__ import annotations

from typing import Any

import pytest

from finai_assets.features.registry import build_registry
from finai_assets.settings import load_settings
from studies.groups.feature_reference import TARGET, reference_text, render
from studies.groups.reading_notes import reading, value_section

GROUPS = ("demographics", "hmm_states", "tda_local")


def test_the_reference_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == reference_text(), "run python -m studies.groups.feature_reference"


def test_the_reference_names_every_group_and_the_totals() -> None:
    text = reference_text()
    assert "1,211 columns in 17 groups" in text
    assert "`lag_amount_000` … `lag_amount_199` (200)" in text
    assert "## gmm_clustering" in text


def test_the_reference_lists_the_side_tensors_of_each_group() -> None:
    settings = load_settings("synthetic", "demo")
    registry = build_registry(settings)
    text = render(registry, look_back_months=settings.look_back_months)
    sections = {part.splitlines()[0]: part for part in text.split("\n## ")}
    for group in registry:
        for tensor in group.tensors:
            shape = " x ".join(map(str, tensor.shape))
            assert f"| `{tensor.name}` | {shape} |" in sections[group.name]
        assert ("| tensor | shape |" in sections[group.name]) == bool(group.tensors)
    assert any(group.tensors for group in registry)


def test_the_reference_says_when_to_choose_which_engine_where_a_group_has_a_choice() -> None:
    settings = load_settings("synthetic", "demo")
    sections = {part.splitlines()[0]: part for part in reference_text().split("\n## ")}
    with_choice = {name for name, own in settings.feature_groups if hasattr(own, "engine")}
    assert with_choice
    assert {
        name for name, _ in settings.feature_groups if "choose the kernel for speed" in sections[name]
    } == with_choice


def figures(gain: float, low: float, high: float, best: tuple[float, float, float] | None = None) -> dict[str, Any]:
    at, under, over = best or (gain, low, high)
    greatest = {"task": "next_mcc", "gain": at, "low": under, "high": over}
    return {"gain": gain, "low": low, "high": high, "best": greatest, "tasks": {}}


MORE, LESS, NOTHING = figures(0.02, 0.01, 0.03), figures(-0.02, -0.03, -0.01), figures(0.001, -0.01, 0.01)
ONE_TASK = figures(0.001, -0.01, 0.01, (0.05, 0.02, 0.08))
MIXED = figures(-0.02, -0.03, -0.01, (0.05, 0.02, 0.08))
UNCERTAIN_TASK = figures(0.02, 0.01, 0.03, (0.05, -0.01, 0.11))


@pytest.mark.parametrize(
    ("adds", "loses", "words"),
    [
        (MORE, NOTHING, "adds 0.020 on average, 0.020 on next_mcc; redundant: nothing measurable is lost without it"),
        (NOTHING, NOTHING, "adds nothing measurable on this data; redundant: nothing measurable is lost without it"),
        (LESS, LESS, "takes away 0.020 on average; the others do better by 0.020 without it"),
        (
            ONE_TASK,
            ONE_TASK,
            "adds 0.050 on next_mcc, nothing measurable on average; not replaced by the others: 0.050 on next_mcc is lost",
        ),
        (
            MIXED,
            MIXED,
            "adds 0.050 on next_mcc, but takes away 0.020 on average; "
            "not replaced by the others: 0.050 on next_mcc is lost, but 0.020 is gained on average",
        ),
        (
            UNCERTAIN_TASK,
            UNCERTAIN_TASK,
            "adds 0.020 on average, on no single task measurably; not replaced by the others: 0.020 is lost on average",
        ),
        (None, MORE, "part of the base; not replaced by the others: 0.020 is lost on average, 0.020 on next_mcc"),
    ],
)
def test_a_reading_claims_only_what_an_interval_without_zero_shows(
    adds: dict[str, Any] | None, loses: dict[str, Any], words: str
) -> None:
    assert reading({"group": "hmm_states", "adds": adds, "loses": loses}) == words


def measured() -> dict[str, Any]:
    return {
        "dataset": "synthetic",
        "profile": "demo",
        "months": {"train": ["2015-01", "2015-11"], "validation": ["2016-01"], "test": ["2016-04", "2016-05"]},
        "rows": {"train": 38_765, "validation": 3_700, "test": 7_479, "train_sampled": 12_000},
        "test_customers": 3_761,
        "columns": 36,
        "metrics": {"next_mcc": "log_loss"},
        "wide": {"columns": 200, "share": 0.3},
        "confidence": 0.95,
        "command": "python -m studies.groups.ablation --home .finai/synthetic-demo",
        "seeds": 5,
        "tasks": ["next_mcc"],
        "undefined_tasks": ["churn_signal"],
        "base": ["demographics"],
        "skill": {"base": {"next_mcc": 0.01}, "all": {"next_mcc": 0.12}},
        "all_over_base": MORE,
        "groups": [
            {"group": "demographics", "columns": 11, "adds": None, "loses": NOTHING},
            {"group": "hmm_states", "columns": 25, "adds": MORE, "loses": NOTHING},
        ],
    }


def test_the_value_of_groups_is_said_with_data_split_sizes_and_seeds() -> None:
    text = "\n".join(value_section(measured(), GROUPS))
    assert "| hmm_states | +0.020 [+0.010, +0.030] | +0.001 [-0.010, +0.010] | next_mcc" in text
    assert "| demographics | in the base |" in text
    assert "| tda_local | not part of the run |" in text
    assert "Data set `synthetic`, profile `demo`" in text
    assert "each of 5 seeds draws 12,000" in " ".join(text.split())
    assert "test 2016-04..2016-05 (7,479 rows of 3,761 customers)" in " ".join(text.split())
    assert "The test rows define no skill for churn_signal." in text


def test_a_reference_without_figures_says_that_nothing_was_measured() -> None:
    settings = load_settings("synthetic", "demo")
    text = render(build_registry(settings), look_back_months=settings.look_back_months)
    assert "Not measured yet" in text
    assert "| reading |" not in text
