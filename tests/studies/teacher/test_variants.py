from __future__ import annotations

from typing import Any

import pytest
from panel import make_panel, small_settings

from finai_assets.features.registry import build_registry
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.fitting.losses import FixedWeights
from finai_assets.teacher.fitting.steps import Balance
from finai_assets.teacher.network.ple import PLE, parameter_table
from finai_assets.teacher.train import prepare
from finai_resources.errors import ConfigError
from studies.teacher.variants import CONTROL, REFERENCE, Variant, chosen_variants, variants

TASKS = ("churn_signal", "product_stability", "next_mcc", "nba_primary")
SEVEN = ("deepfm", "temporal", "hgcn", "perslay", "lightgcn", "causal", "optimal_transport")


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def with_mechanisms(settings: Settings, **mechanisms: Any) -> Settings:
    chosen = settings.teacher.mechanisms.model_copy(update=mechanisms)
    return settings.model_copy(update={"teacher": settings.teacher.model_copy(update={"mechanisms": chosen})})


@pytest.fixture(scope="module")
def demo() -> Settings:
    return load_settings("synthetic", "demo")


@pytest.fixture(scope="module")
def models() -> dict[str, tuple[PLE, TeacherSettings]]:
    """The network of each variant of a small teacher with all experts, built but not trained."""
    settings = small_settings(experts=list(SEVEN))
    registry = build_registry(settings)
    panel = make_panel(settings, registry, train=120, other=30)
    built = {}
    for variant in variants(settings, TASKS):
        chosen = variant.apply(settings, 0)
        data, normaliser, structure = prepare(panel, registry, panel.tasks, chosen)
        built[variant.name] = (PLE(normaliser, data.tasks, chosen.teacher, structure=structure), chosen.teacher)
    return built


def test_a_variant_differs_from_the_reference_in_exactly_the_settings_it_names(demo):
    reference = flat(demo.teacher.model_dump())
    for variant in variants(demo, TASKS):
        chosen = variant.apply(demo, 2)
        values = flat(chosen.teacher.model_dump())
        assert {path for path in reference if values[path] != reference[path]} == set(variant.changes), variant.name
        assert chosen.model_copy(update={"teacher": demo.teacher, "seed": demo.seed}) == demo


def test_the_issue_is_covered_experts_gates_transfer_surgery_weighting_and_structure(demo):
    names = {variant.name for variant in variants(demo, TASKS)}
    assert names == {
        REFERENCE,
        CONTROL,
        *(f"without_{expert}" for expert in SEVEN),
        *(f"only_{expert}" for expert in SEVEN),
        *("sigmoid_gates", "adatt_loss", "adatt_sp", "pcgrad", "fixed_weights", "no_logit_transfers", "one_layer"),
    }


def test_a_switch_is_set_to_what_the_reference_does_not_have(demo):
    turned = with_mechanisms(
        demo, gate="sigmoid", task_transfer="adatt_sp", gradient_surgery="pcgrad", uncertainty_weighting=False
    )
    found = {variant.name: dict(variant.changes) for variant in variants(turned, TASKS)}
    assert found["softmax_gates"] == {"mechanisms.gate": "softmax"}
    assert found["no_task_transfer"] == {"mechanisms.task_transfer": "none"}
    assert found["no_gradient_surgery"] == {"mechanisms.gradient_surgery": "none"}
    assert found["uncertainty_weights"] == {"mechanisms.uncertainty_weighting": True}
    assert not found.keys() & {"sigmoid_gates", "adatt_sp", "pcgrad", "fixed_weights"}


def test_without_an_expert_its_parameters_and_its_gate_slot_are_gone(models):
    table = parameter_table(models[REFERENCE][0])
    for expert in SEVEN:
        without, _ = models[f"without_{expert}"]
        assert set(without.experts) == set(SEVEN) - {expert}
        assert without.gates.slots == (*(name for name in SEVEN if name != expert), "task_mlp")
        assert parameter_table(without)["total"] <= table["total"] - table[f"expert {expert}"]
        alone, _ = models[f"only_{expert}"]
        assert list(alone.experts) == [expert]
        assert parameter_table(alone)[f"expert {expert}"] == table[f"expert {expert}"]


def test_groups_that_an_expert_alone_reads_are_unread_without_it_and_the_variant_says_so(demo):
    applied = {v.name: v.apply(demo, 0).teacher for v in variants(demo, TASKS) if v.theme in {"reference", "experts"}}
    assert applied[REFERENCE].unread_groups == {}
    assert applied["without_perslay"].unread_groups.keys() == {"tda_global", "tda_local"}
    assert applied["without_optimal_transport"].unread_groups == {}
    assert "without_perslay" in applied["without_perslay"].unread_groups["tda_local"]


def test_mechanisms_reach_the_network_and_the_losses(models):
    reference, chosen = models[REFERENCE]
    sigmoid, _ = models["sigmoid_gates"]
    assert (reference.gates.kind, sigmoid.gates.kind) == ("softmax", "sigmoid")
    assert all(layer.gates.kind == "sigmoid" for layer in sigmoid.layers)
    fused, _ = models["adatt_sp"]
    assert (len(reference.layers), len(reference.fusions)) == (chosen.layers - 1, 0)
    assert (len(fused.layers), len(fused.fusions)) == (0, chosen.layers - 1)
    assert len(models["one_layer"][0].layers) == 0
    assert len(reference.transfers) == 2
    assert models["no_logit_transfers"][0].transfers == ()
    weights = {name: Balance(model.tasks, settings) for name, (model, settings) in models.items()}
    assert isinstance(weights["fixed_weights"].weights, FixedWeights)
    assert not isinstance(weights[REFERENCE].weights, FixedWeights)
    assert weights["adatt_loss"].affinity.strength > weights[REFERENCE].affinity.strength == 0
    assert models["pcgrad"][1].mechanisms.gradient_surgery == "pcgrad"


def test_the_control_is_the_reference_with_other_seeds(models, demo):
    assert parameter_table(models[CONTROL][0]) == parameter_table(models[REFERENCE][0])
    reference, control, *_ = variants(demo, TASKS)
    used = {reference.apply(demo, seed).seed for seed in range(100)}
    assert used == set(range(demo.seed, demo.seed + 100))
    assert not used & {control.apply(demo, seed).seed for seed in range(100)}


def test_no_two_variants_train_the_same_teacher():
    two = variants(small_settings(experts=["deepfm", "perslay"]), TASKS)
    names = [variant.name for variant in two]
    assert {"without_deepfm", "without_perslay"} < set(names)
    assert not any(name.startswith("only_") for name in names), "without one of two experts is the other alone"
    assert not any("deepfm" in variant.name for variant in variants(small_settings(), TASKS)), "one expert is needed"


def test_a_transfer_counts_where_both_of_its_tasks_are_learned(demo):
    assert "no_logit_transfers" not in {v.name for v in variants(demo, ("churn_signal", "next_mcc"))}
    assert "no_logit_transfers" in {v.name for v in variants(demo, ("next_mcc", "nba_primary"))}


def test_names_and_themes_choose_and_the_reference_is_always_there(demo):
    chosen = chosen_variants(demo, TASKS, ["pcgrad", "transfer"])
    assert [variant.name for variant in chosen] == [REFERENCE, "adatt_loss", "adatt_sp", "pcgrad"]
    with pytest.raises(ConfigError, match="did you mean pcgrad"):
        chosen_variants(demo, TASKS, ["pcgard"])


def test_a_change_of_a_setting_that_does_not_exist_is_refused(demo):
    with pytest.raises(ConfigError, match=r"mechanisms\.gates"):
        Variant("wrong", "gates", "?", {"mechanisms.gates": "sigmoid"}).apply(demo, 0)
