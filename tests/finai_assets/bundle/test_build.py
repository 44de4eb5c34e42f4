"""A bundle is built whole, deterministic and gated: no student, no verdict or a broken floor, no bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bundle_fixtures import KEY, Made, terms_table

from finai_assets.bundle import content
from finai_assets.bundle.facts import Known
from finai_assets.bundle.golden import reference_prediction
from finai_assets.choice.model import ChoiceModel
from finai_assets.features.registry import build_registry
from finai_assets.labels.tasks import available
from finai_assets.settings import load_settings
from finai_assets.students.card import card_of
from finai_resources.errors import BundleError, ConfigError, GateError, LakeError
from serving_lambda.bundle import Bundle, canonical, model_files, open_bundle, signature_of
from serving_lambda.scorer import PRODUCT_MODEL


def changed(made: Made, name: str, **fields: Any) -> dict[str, dict[str, bytes]]:
    """Return the students with one card changed."""
    card = json.loads(made.students[name]["student.json"])
    return {**made.students, name: {**made.students[name], "student.json": json.dumps({**card, **fields}).encode()}}


def test_the_same_inputs_give_the_same_bytes_and_the_id_is_the_contents_hash(
    made: Made, bundle_files: dict[str, bytes]
) -> None:
    assert made.build() == bundle_files
    manifest = json.loads(bundle_files["manifest.json"])
    bundle_id = manifest.pop("bundle_id")
    assert hashlib.sha256(canonical(manifest)).hexdigest().startswith(bundle_id)


def test_the_order_in_which_students_come_does_not_matter(made: Made, bundle_files: dict[str, bytes]) -> None:
    assert made.build(students=dict(reversed(made.students.items()))) == bundle_files


def test_another_input_gives_another_id(made: Made, bundle_files: dict[str, bytes]) -> None:
    first = json.loads(bundle_files["manifest.json"])["bundle_id"]
    others = [
        made.build(shares=made.shares + 1),
        made.build(versions={"data": "d2", "code": "c1"}),
        made.build(students=changed(made, "churn_signal", threshold=0.31)),
    ]
    ids = {json.loads(files["manifest.json"])["bundle_id"] for files in others}
    assert len(ids | {first}) == 4


def test_another_key_changes_the_signature_alone(made: Made, bundle_files: dict[str, bytes]) -> None:
    other = made.build(key=b"x" * 32)
    assert {name for name in other if other[name] != bundle_files[name]} == {"signature.json"}
    signature = json.loads(bundle_files["signature.json"])
    assert signature["mac"] == signature_of(bundle_files["manifest.json"], KEY)
    assert KEY.hex() not in bundle_files["signature.json"].decode()


def test_the_manifest_lists_every_file_task_split_and_version(made: Made, bundle_files: dict[str, bytes]) -> None:
    manifest = json.loads(bundle_files["manifest.json"])
    for name, stored in manifest["files"].items():
        assert stored == {"sha256": hashlib.sha256(bundle_files[name]).hexdigest(), "bytes": len(bundle_files[name])}
    assert set(bundle_files) == set(manifest["files"]) | {"manifest.json", "signature.json"}
    assert [entry["task"] for entry in manifest["tasks"]] == [task.name for task in available(made.tasks)]
    assert manifest["splits"]["train"] == ["2015-01", "2015-02", "2015-03"]
    assert manifest["versions"]["data"] == "d1"
    assert all(check["passed"] and check["n"] for check in manifest["checks"])
    interval = manifest["tasks"][0]["metrics"]["test"]["student"]["auc"]
    assert interval == {"value": 0.7, "low": 0.6, "high": None, "n": 10, "note": ""}  # NaN is null


def test_the_contract_holds_the_columns_of_students_and_rules_in_matrix_order(
    made: Made, bundle_files: dict[str, bytes]
) -> None:
    columns = json.loads(bundle_files["manifest.json"])["contract"]["columns"]
    names = [column["name"] for column in columns]
    cards = [json.loads(files["student.json"]) for files in made.students.values()]
    used = {name for card in cards for model in (card, card["direct"] or card) for name in model["columns"]}
    used |= {name for model in made.choice_models for name in model.columns}
    assert set(names) == used | {"txn_active_days"}
    assert names == [name for name in made.registry.names if name in set(names)]
    by_name = {column.name: column for column in made.registry.columns}
    for column in columns:
        assert column["nullable"] == (by_name[column["name"]].missing == "nan")


def test_a_missing_task_is_refused(made: Made) -> None:
    students = {task: files for task, files in made.students.items() if task != "next_mcc"}
    with pytest.raises(GateError, match="next_mcc"):
        made.build(students=students)


def test_a_task_that_the_data_set_cannot_carry_is_listed_and_needs_no_student(made: Made) -> None:
    tasks = tuple(replace(task, unavailable="no merchants") if task.name == "next_mcc" else task for task in made.tasks)
    students = {task: files for task, files in made.students.items() if task != "next_mcc"}
    manifest = json.loads(made.build(tasks=tasks, students=students)["manifest.json"])
    assert manifest["tasks_unavailable"] == {"next_mcc": "no merchants"}
    with pytest.raises(GateError, match="not available"):
        made.build(tasks=tasks)


@pytest.mark.parametrize("fidelity", [None, {}, {"n": 0, "figures": {"kl": {"value": 0.0}}}, {"n": 50, "figures": {}}])
def test_a_copy_that_was_never_compared_with_its_teacher_is_refused(made: Made, fidelity: Any) -> None:
    with pytest.raises(GateError, match="never compared with their teacher: churn_signal"):
        made.build(students=changed(made, "churn_signal", fidelity=fidelity))


def _served_by(files: Mapping[str, bytes], task: str) -> int:
    return next(entry for entry in json.loads(files["manifest.json"])["tasks"] if entry["task"] == task)["served_by"]


@pytest.mark.parametrize("figures", [{"kl": {"value": None}}, {"kl": {"value": 0.0}}])
def test_a_copy_without_a_figure_for_each_floor_does_not_travel(made: Made, figures: Any) -> None:
    fidelity = {"n": 50, "verdicts": [{"measure": "kl", "floor": 0.2, "passed": True}], "figures": figures}
    assert _served_by(made.build(students=changed(made, "churn_signal", fidelity=fidelity)), "churn_signal") == 2


def test_the_stored_figures_are_compared_with_the_floors_of_today_and_the_stored_verdict_is_not_trusted(
    made: Made,
) -> None:
    stored = json.loads(made.students["churn_signal"]["student.json"])["fidelity"]
    over = {**stored["figures"], "kl": {"value": 0.5, "low": None, "high": None}}
    students = changed(made, "churn_signal", fidelity={**stored, "figures": over})
    assert _served_by(made.build(students=students), "churn_signal") == 2
    fidelity = made.settings.students.fidelity.model_copy(update={"kl": 0.6})
    looser = made.settings.students.model_copy(update={"fidelity": fidelity})
    settings = made.settings.model_copy(update={"students": looser})
    assert _served_by(made.build(students=students, settings=settings), "churn_signal") == 1


def test_a_direct_student_needs_no_fidelity(made: Made) -> None:
    assert made.build(students=changed(made, "top_mcc_shift", fidelity=None))


@pytest.mark.parametrize(
    "fields", [{"format": 1}, {"task": "other"}, {"route": "MAYBE"}, {"route": "SKIP"}, {"columns": ["no_such_column"]}]
)
def test_a_card_that_does_not_fit_is_refused(made: Made, fields: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        made.build(students=changed(made, "churn_signal", **fields))


def test_a_model_that_is_not_the_cards_is_refused_before_signing(made: Made) -> None:
    students = {
        **made.students,
        "churn_signal": {**made.students["churn_signal"], "model.txt": made.students["nba_primary"]["model.txt"]},
    }
    with pytest.raises((GateError, ValueError)):
        made.build(students=students)


def test_another_catalogue_or_count_is_refused(made: Made) -> None:
    with pytest.raises(BundleError, match="catalogue"):
        made.build(products=made.products.slice(1))
    renamed = made.products.set_column(1, "name", pa.array(["Renamed"] * len(made.products)))
    with pytest.raises(BundleError, match="catalogue"):
        made.build(products=renamed)
    with pytest.raises(BundleError, match="acquisition"):
        made.build(shares=made.shares[1:])


def test_personal_attributes_codes_and_inferences_are_never_displayable(made: Made) -> None:
    templates = content.read_config(content.TEMPLATES_FILE)
    facts = content.told_facts(made.registry, made.registry.names, templates, made.settings, Known())
    columns = content.contract_columns(made.registry, made.registry.names, templates, made.settings, facts)
    shown = {column["name"] for column in columns if column["displayable"]}
    hidden = {
        "age",
        "income",
        "is_active",
        "gender_code",
        "segment_code",
        "country_code",
        "age_group_code",
        "income_group_code",
    }
    assert not hidden & shown
    assert "closures_total" not in shown
    assert {"txn_spend_90d", "held_time_deposit"} <= shown
    assert not {"lag_amount_000", "held_mortgage", "merchant_l1_share_5", "roll_mean_30d"} & shown  # no fact tells them
    assert {c["concept"] for c in columns if c["group"] == "txn_lag_tensor"} == {"recent_transactions"}
    assert {c["name"] for c in columns if c["concept"] == "other"} == set()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{product:을/를} 가입하시면 원금 보장이 되니 안심하고 살펴보세요. 자세한 내용을 확인해 주세요.", "원금보장"),
        ("{product:은/는} 최 고의 상품입니다. 자세한 내용은 상담을 통해 확인하실 수 있습니다.", "최고"),
        ("{product}", "short"),
        ("Please look at {product:을/를}, it is a product in English letters only 입니다.", "Hangul"),
    ],
)
def test_a_template_with_a_forbidden_word_or_of_a_wrong_form_stops_the_build(
    made: Made, monkeypatch: pytest.MonkeyPatch, text: str, word: str
) -> None:
    real = content.read_config

    def with_text(name: str) -> dict[str, Any]:
        config = real(name)
        if name == content.TEMPLATES_FILE:
            config["neutral"] = [{"ko": text, "en": config["neutral"][0]["en"]}]
        return config

    monkeypatch.setattr(content, "read_config", with_text)
    with pytest.raises(BundleError, match=word if word not in {"short", "Hangul"} else "too short"):
        made.build()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"when": {"moon": [0, 1]}}, "unknown conditions"),
        ({"offer": {"classes": ["loan"]}}, "not conservative"),
        ({"when": {"columns": {"no_column": [0, 1]}}}, "no column"),
    ],
)
def test_a_rule_about_something_that_does_not_exist_is_refused(
    made: Made, change: dict[str, Any], message: str
) -> None:
    config = content.read_config(content.RULES_FILE)
    config["rules"][0] |= change
    with pytest.raises(ConfigError, match=message):
        content.rules_content(config, made.registry, made.settings)


def test_a_rule_about_an_unavailable_column_is_listed_as_absent(made: Made) -> None:
    group = made.registry.group("txn_behavior")
    poorer = replace(group, unavailable={"txn_active_days": "no transactions"})
    registry = replace(made.registry, groups=tuple(poorer if g.name == group.name else g for g in made.registry.groups))
    rules = content.rules_content(content.read_config(content.RULES_FILE), registry, made.settings)
    assert rules["absent"]["frequent_payer"] == "txn_active_days: no transactions"
    assert "frequent_payer" not in {rule["id"] for rule in rules["rules"]}


def test_the_reference_agrees_with_serving_on_rows_that_are_not_golden(made: Made, bundle: Bundle) -> None:
    from serving_lambda.scorer import score_matrix

    for task, files in made.students.items():
        layers, whole = bundle.layers[task], card_of(files)
        for student in layers if whole.columns else ():
            direct = student is not layers[0]
            card = whole.direct if direct and whole.direct else whole
            X = np.ascontiguousarray(made.X[100:160, [made.registry.names.index(name) for name in card.columns]])
            expected = reference_prediction(card, files["direct.txt" if direct else "model.txt"], X)
            assert np.array(score_matrix(student, X, len(X))) == pytest.approx(expected, abs=1e-9)


def test_no_personal_path_or_time_of_building_is_in_the_bundle(bundle_files: dict[str, bytes]) -> None:
    for name, data in bundle_files.items():
        assert str(Path.cwd()).encode() not in data, name


def test_serving_finishes_raw_scores_as_the_measured_students_do(made: Made, bundle: Bundle) -> None:
    from finai_assets.scoring.calibration import apply_calibrator

    for task, student in bundle.students.items():
        if student.model is None:
            continue
        card = card_of(made.students[task])
        raw = np.random.default_rng(2).normal(scale=3, size=(200, student.classes))
        shifted = raw + np.array(card.init_score)
        measured = apply_calibrator(
            shifted if student.classes > 1 else shifted[:, 0], card.output_transform, card.calibrator
        )
        served = np.array([student.finish(row) for row in raw.tolist()])
        assert served == pytest.approx(np.reshape(measured, served.shape), abs=1e-12)


def test_serving_gives_the_choice_models_shares_on_rows_that_are_not_golden(made: Made, bundle: Bundle) -> None:
    names = bundle.names
    for layer, student in enumerate(bundle.layers[PRODUCT_MODEL], start=1):
        scores = made.margins(slice(100, 160), layer)
        wanted = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        rows = made.X[100:160, [made.registry.names.index(name) for name in names]]
        assert np.array([student.predict(row) for row in rows.tolist()]) == pytest.approx(wanted, abs=1e-12)


def test_the_choice_model_travels_as_two_layers_of_json_and_is_no_task(
    made: Made, bundle_files: dict[str, bytes]
) -> None:
    manifest = json.loads(bundle_files["manifest.json"])
    entry = manifest["product_model"]
    models = {"models/product_share.json": entry, "models/product_share.holdings.json": entry["direct"]}
    golden = json.loads(bundle_files["golden.json"])["expected"]
    for (name, told), stored in zip(models.items(), made.choice_models, strict=True):
        assert told["model"] == name
        assert told["columns"] == list(stored.columns)
        read = ChoiceModel.from_dict(json.loads(bundle_files[name]))
        assert json.dumps(read.to_dict()) == json.dumps(stored.to_dict())  # to the bit
        assert np.sum(golden[name], axis=1) == pytest.approx(np.ones(40))
    assert (entry["task"], entry["route"], entry["served_by"]) == (PRODUCT_MODEL, "CHOICE", 1)
    assert entry["class_labels"] == [product.code for product in made.settings.products]
    assert PRODUCT_MODEL not in {task["task"] for task in manifest["tasks"]}
    assert set(models) <= model_files(manifest)
    assert set(models) <= set(manifest["files"])


def test_another_choice_model_gives_another_id(made: Made, bundle_files: dict[str, bytes]) -> None:
    def moved(stored: dict[str, Any]) -> None:
        stored["models"]["holdings"]["intercept"][3] += 1e-12

    other = made.build(choice=changed_choice(made, moved))
    first, second = (json.loads(files["manifest.json"]) for files in (bundle_files, other))
    assert first["bundle_id"] != second["bundle_id"]
    assert {name for name in other if other[name] != bundle_files[name]} == {
        "models/product_share.holdings.json",
        "manifest.json",
        "signature.json",
        *(["golden.json"] if other["golden.json"] != bundle_files["golden.json"] else []),
    }


def test_without_a_choice_model_the_bundle_says_so_and_shares_are_counts(made: Made) -> None:
    files = made.build(choice=None)
    assert json.loads(files["manifest.json"])["product_model"] is None
    loaded = open_bundle(files.__getitem__, KEY)
    assert (PRODUCT_MODEL, "NO_PRODUCT_MODEL") in loaded.degraded
    assert loaded.layer_by_task[PRODUCT_MODEL] == 3


def changed_choice(made: Made, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return the stored choice model with a change."""
    stored = json.loads(made.choice)
    change(stored)
    return json.dumps(stored).encode()


def test_a_choice_model_of_another_catalogue_or_without_a_layer_is_refused(made: Made) -> None:
    def turn(stored: dict[str, Any]) -> None:
        stored["models"]["holdings"]["products"].reverse()

    def shorten(stored: dict[str, Any]) -> None:
        for name in ("products", "intercept", "weights"):
            stored["models"]["columns"][name].pop()

    def drop(stored: dict[str, Any]) -> None:
        del stored["models"]["holdings"]

    for change in (turn, shorten, drop):
        with pytest.raises(BundleError, match="none of the 24 products"):
            made.build(choice=changed_choice(made, change))


def test_a_choice_model_that_cannot_be_read_or_reads_an_unknown_column_is_refused(made: Made) -> None:
    with pytest.raises(LakeError, match="cannot be read"):
        made.build(choice=made.choice[:-100])

    def rename(stored: dict[str, Any]) -> None:
        stored["models"]["columns"]["columns"][0] = "of_yesterday"

    with pytest.raises(BundleError, match="of_yesterday"):
        made.build(choice=changed_choice(made, rename))


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"segment_multipliers": {"gold": {"will_acquire": 1.2}}}, "segment_multipliers"),
        ({"rule_boosts": [{"id": "a", "when": {}, "classes": ["yacht"], "factor": 2.0}]}, "rule_boosts: a"),
        ({"rule_boosts": [{"id": "b", "when": {"segment": ["gold"]}, "classes": ["loan"], "factor": 2.0}]}, "rule_boosts: b"),
    ],
)  # fmt: skip
def test_ranking_that_names_what_does_not_exist_is_refused(made: Made, fields: dict[str, Any], where: str) -> None:
    settings = load_settings("synthetic", "smoke", overrides={"recommend": fields})
    with pytest.raises(ConfigError) as refused:
        content.ranking_content(made.shares, settings)
    assert where in str(refused.value)


def test_limits_policy_and_bands_travel_and_terms_of_another_catalogue_are_refused(made: Made) -> None:
    benefit = {"category": "dining", "ko": "5% 할인", "en": "5% off"}
    limits = {"minimum_age": 19, "minimum_asset_band": "from_100m", "disclosures": ["fees"], "benefits": [benefit]}
    files = made.build(terms=terms_table(made.settings, premium_card=limits))
    loaded = open_bundle(files.__getitem__, KEY)
    product = loaded.ranking.products[loaded.ranking.ids["premium_card"]]
    assert (product.minimum_age, product.maximum_age, product.minimum_asset_band) == (19, None, "from_100m")
    assert (product.disclosures, product.benefits) == (("fees",), (("dining", "5% 할인", "5% off"),))
    assert json.loads(files["offering.json"]) == made.settings.offering.model_dump(mode="json")
    assert loaded.offering.asset_bands == made.settings.dataset.asset_bands
    with pytest.raises(BundleError, match="terms of 23 products"):
        made.build(terms=made.terms.slice(1))


def test_a_rule_about_an_asset_band_that_the_data_set_does_not_have_is_listed_as_absent(made: Made) -> None:
    config = content.read_config(content.RULES_FILE)
    found = content.rules_content(config, made.registry, made.settings)
    assert {"means_at_hand", "little_saved"} <= {rule["id"] for rule in found["rules"]}
    berka = load_settings("berka", "smoke")
    assert "no band" in content.rules_content(config, build_registry(berka), berka)["absent"]["means_at_hand"]
