from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from finai_assets.settings import Settings
from finai_assets.settings.method import InputSettings, StudentSettings
from finai_assets.students import train
from finai_assets.students.columns import choose_columns
from finai_assets.students.route import Policy, Route, RouteEvidence, choose_route
from finai_assets.students.train import (
    StudentResult,
    from_files,
    require_budget,
    to_files,
    train_student,
)
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import BundleError, GateError
from serving_lambda.lightgbm_c import Library
from serving_lambda.lightgbm_c import Model as DeployedModel
from serving_lambda.scorer import Student, score_row
from tests.finai_assets.students.conftest import SIZES, TASKS, Toy

KINDS = list(TASKS)


@pytest.fixture(scope="module")
def results(toy: Toy, chosen: Settings) -> dict[str, StudentResult]:
    columns = choose_columns(toy.matrix, toy.teacher, chosen)
    return {
        name: train_student(TASKS[name], toy.matrix, toy.teacher[name], toy.registry, chosen, columns=columns[name])
        for name in TASKS
    }


@pytest.fixture(scope="module")
def better(chosen: Settings) -> Settings:
    return chosen.model_copy(update={"students": chosen.students.model_copy(update={"policy": "better"})})


def _train(
    name: str,
    toy: Toy,
    settings: Settings,
    *,
    matrix: TrainingMatrix | None = None,
    teacher: np.ndarray | None = None,
    registry: object = None,
) -> StudentResult:
    rows = matrix or toy.matrix
    alone = replace(rows, tasks=(TASKS[name],))
    told = toy.teacher[name] if teacher is None else teacher
    found = choose_columns(alone, {name: told}, settings)
    return train_student(TASKS[name], rows, told, registry or toy.registry, settings, columns=found[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KINDS)
def test_a_good_teacher_is_distilled_faithfully(name: str, results: dict[str, StudentResult]) -> None:
    result = results[name]
    assert result.route == "DISTILL", result.reason
    assert result.fidelity is not None
    assert result.fidelity.passed, result.fidelity.failures
    assert 3 <= len(result.columns) <= 10
    assert result.leaves > result.trees > 0
    assert set(result.metrics["test"]) == {"teacher", "prior", "direct", "distilled", "student"}


def test_columns_that_carry_the_signal_are_kept(results: dict[str, StudentResult]) -> None:
    assert {"column_0", "column_1"} <= set(results["churn"].columns)
    assert {"column_2", "column_3"} <= set(results["family"].columns)
    assert next(iter(results["spend"].gain)) == "column_4"


@pytest.mark.parametrize("name", KINDS)
def test_the_deployed_scorer_gives_the_measured_prediction(
    name: str, toy: Toy, results: dict[str, StudentResult]
) -> None:
    files = to_files(results[name])
    card = json.loads(files["student.json"])
    deployed = Student(card, toy.matrix.columns)
    deployed.attach(DeployedModel(Library(), files["model.txt"]))
    rows = toy.matrix.X[-20:]
    answers = [score_row({name: deployed}, row.tolist())[0][name] for row in rows]
    kept = [toy.matrix.columns.index(column) for column in results[name].columns]
    model = from_files(files).model
    assert model is not None
    expected = model.predict(np.ascontiguousarray(rows[:, kept]))
    assert np.asarray(answers).reshape(expected.shape) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_files_hold_everything(name: str, results: dict[str, StudentResult]) -> None:
    files = to_files(results[name])
    assert to_files(from_files(files)) == files
    card = json.loads(files["student.json"])
    assert card["output_transform"] == {"churn": "sigmoid", "family": "softmax", "spend": "identity"}[name]
    assert len(card["init_score"]) == TASKS[name].classes
    assert (card["threshold"] is None) == (name != "churn")
    assert results[name].facts()["route"] == "DISTILL"


@pytest.mark.parametrize("name", KINDS)
def test_the_card_says_which_rows_each_part_has_seen(name: str, toy: Toy, results: dict[str, StudentResult]) -> None:
    told = json.loads(to_files(results[name])["student.json"])["fitted_on"]
    label = toy.matrix.labels[name]
    labelled = {split: int(np.isfinite(label[toy.matrix.rows(split)]).sum()) for split in ("train", "validation")}
    assert {part: (rows["split"], rows["rows"]) for part, rows in told.items()} == {
        "prior": ("train", labelled["train"]),
        "copy trees": ("train", SIZES["train"]),  # a copy needs no label
        "copy stopping": ("validation", SIZES["validation"]),
        "copy calibration": ("validation", labelled["validation"]),
        "direct trees": ("train", labelled["train"]),
        "direct stopping": ("validation", labelled["validation"]),
        "direct calibration": ("validation", labelled["validation"]),
    }
    at = np.flatnonzero(np.isfinite(label[toy.matrix.rows("train")])) + toy.matrix.rows("train").start
    assert told["direct trees"]["digest"] == FittedRows.of(toy.matrix, at).digest


def test_a_card_of_another_format_or_without_its_model_is_refused(results: dict[str, StudentResult]) -> None:
    files = to_files(results["churn"])
    with pytest.raises(BundleError, match="without a model"):
        from_files({"student.json": files["student.json"]})
    other = files["student.json"].replace(b'"format": 4', b'"format": 7')
    with pytest.raises(BundleError, match="format 7"):
        from_files({**files, "student.json": other})


@pytest.mark.parametrize("name", KINDS)
def test_training_again_gives_the_same_bytes(
    name: str, toy: Toy, chosen: Settings, results: dict[str, StudentResult]
) -> None:
    assert to_files(_train(name, toy, chosen)) == to_files(results[name])


def _spoiled_test(toy: Toy) -> TrainingMatrix:
    """Return the matrix with other features and other labels on its test rows."""
    test = toy.matrix.rows("test")
    X, label = toy.matrix.X.copy(), toy.matrix.labels["churn"].copy()
    X[test] = 7
    label[test] = 1 - label[test]
    return replace(toy.matrix, X=X, labels={"churn": label})


def test_test_labels_and_test_rows_do_not_reach_the_models_or_the_route(toy: Toy, chosen: Settings) -> None:
    expected = _train("churn", toy, chosen)
    found = _train("churn", toy, chosen, matrix=_spoiled_test(toy))
    assert (found.model, found.direct) == (expected.model, expected.direct)
    assert (found.route, found.reason, found.threshold) == (expected.route, expected.reason, expected.threshold)
    assert found.metrics["validation"] == expected.metrics["validation"]
    assert found.metrics["test"] != expected.metrics["test"]


def test_a_copy_that_is_over_a_floor_on_test_stays_a_copy_and_its_verdict_fails(toy: Toy, chosen: Settings) -> None:
    found = _train("churn", toy, chosen, matrix=_spoiled_test(toy))
    assert found.route == "DISTILL"
    assert found.fidelity is not None
    assert not found.fidelity.passed
    assert any(failure.startswith("kl") for failure in found.fidelity.failures)


def test_a_copy_has_no_calibrator_and_the_direct_student_behind_it_has_one(results: dict[str, StudentResult]) -> None:
    churn = results["churn"]
    assert churn.calibrator == {"type": "none"}
    assert churn.direct is not None
    assert churn.direct.model.calibrator["type"] == "isotonic"


def test_labels_of_train_do_not_reach_a_copy(toy: Toy, chosen: Settings) -> None:
    flipped = toy.matrix.labels["churn"].copy()
    rows = toy.matrix.rows("train")
    flipped[rows] = np.random.default_rng(1).permutation(flipped[rows])
    expected, found = (
        _train("churn", toy, chosen, matrix=matrix)
        for matrix in (toy.matrix, replace(toy.matrix, labels={**toy.matrix.labels, "churn": flipped}))
    )
    assert found.metrics["validation"]["distilled"] == expected.metrics["validation"]["distilled"]
    assert found.metrics["validation"]["direct"] != expected.metrics["validation"]["direct"]


def test_validation_rows_do_not_reach_the_choice_of_columns(
    toy: Toy, chosen: Settings, results: dict[str, StudentResult]
) -> None:
    X = toy.matrix.X.copy()
    X[toy.matrix.rows("validation")] *= -1
    found = _train("spend", toy, chosen, matrix=replace(toy.matrix, X=X))
    columns = found.columns or tuple(found.gain)
    assert not columns or columns == results["spend"].columns


def test_a_direct_student_does_not_learn_from_rows_without_a_label(
    toy: Toy, chosen: Settings, results: dict[str, StudentResult]
) -> None:
    X = toy.matrix.X.copy()
    masked = np.isnan(toy.matrix.labels["churn"])
    masked[toy.matrix.rows("train").stop :] = False
    assert masked.sum() > 100
    X[masked] = np.roll(X[masked], 1, axis=0)  # the same values in other rows: the bins stay as they are
    found = _train("churn", toy, chosen, matrix=replace(toy.matrix, X=X))
    expected = results["churn"].direct
    assert found.direct is not None
    assert expected is not None
    assert found.direct.model.columns == expected.model.columns
    assert found.direct == expected
    assert found.model != results["churn"].model


def test_the_route_sees_what_the_copy_itself_has_over_the_trivial_forecast(
    toy: Toy, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def choose(evidence: RouteEvidence, settings: StudentSettings, policy: Policy) -> Route:
        seen.append(evidence)
        return choose_route(evidence, settings, policy)

    monkeypatch.setattr(train, "choose_route", choose)
    name = next(name for name, task in TASKS.items() if task.kind == "binary")
    result = _train(name, toy, chosen)
    scores = {who: result.metrics["validation"][who]["auc"].value for who in ("distilled", seen[0].trivial)}
    assert seen[0].distilled_over_trivial.value == pytest.approx(scores["distilled"] - scores[seen[0].trivial])


def test_a_teacher_of_noise_is_not_copied(toy: Toy, chosen: Settings) -> None:
    noise = np.random.default_rng(5).permutation(toy.teacher["churn"])
    found = _train("churn", toy, chosen, teacher=noise)
    assert found.route == "DIRECT"
    assert "not worth copying" in found.reason
    assert found.fidelity is None
    assert "distilled" not in found.metrics["test"]
    assert found.metrics["test"]["student"] == found.metrics["test"]["direct"]


def test_a_mediocre_teacher_loses_to_the_direct_student_unless_replicated_and_both_policies_are_told(
    toy: Toy, chosen: Settings, better: Settings
) -> None:
    rng = np.random.default_rng(6)
    blurred = np.clip(toy.teacher["spend"] * 0.4 + rng.normal(0, 0.03, len(toy.matrix)), -3, 3).astype(np.float32)
    direct, copied = (_train("spend", toy, settings, teacher=blurred) for settings in (better, chosen))
    assert (direct.route, copied.route) == ("DIRECT", "DISTILL")
    assert direct.routes == copied.routes == {"better": "DIRECT", "replicate": "DISTILL"}


def test_where_nothing_can_be_learned_the_task_is_skipped_without_a_model(toy: Toy, chosen: Settings) -> None:
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 2, len(toy.matrix)).astype(np.float32)
    found = _train(
        "churn",
        toy,
        chosen,
        matrix=replace(toy.matrix, labels={"churn": noise}),
        teacher=rng.random(len(noise)).astype(np.float32),
    )
    assert found.route == "SKIP"
    assert list(to_files(found)) == ["student.json"]
    assert found.columns == ()
    assert found.leaves == 0
    assert "student" not in found.metrics["test"]
    assert from_files(to_files(found)).route == "SKIP"
    assert list(found.fitted_on) == ["prior"]


def test_a_label_that_never_happens_in_train_is_skipped(toy: Toy, chosen: Settings) -> None:
    label = toy.matrix.labels["churn"].copy()
    rows = toy.matrix.rows("train")
    label[rows] = np.where(np.isnan(label[rows]), np.nan, 0)
    found = _train("churn", toy, chosen, matrix=replace(toy.matrix, labels={"churn": label}))
    assert found.route == "SKIP"
    assert "nothing to learn" in found.reason


def test_predictions_or_columns_of_another_matrix_are_refused(toy: Toy, chosen: Settings) -> None:
    columns = choose_columns(toy.matrix, toy.teacher, chosen)
    with pytest.raises(GateError, match="have shape"):
        train_student(
            TASKS["family"], toy.matrix, toy.teacher["churn"], toy.registry, chosen, columns=columns["family"]
        )
    with pytest.raises(GateError, match="not the registry's"):
        _train("churn", toy, chosen, registry=SimpleNamespace(names=toy.matrix.columns[::-1]))


def test_a_split_without_labels_is_refused(toy: Toy, chosen: Settings) -> None:
    label = toy.matrix.labels["churn"].copy()
    label[toy.matrix.rows("validation")] = np.nan
    with pytest.raises(GateError, match="no validation row has a label"):
        _train("churn", toy, chosen, matrix=replace(toy.matrix, labels={"churn": label}))


def test_the_budget_counts_all_students_and_names_the_largest(
    results: dict[str, StudentResult], chosen: Settings
) -> None:
    total = require_budget(results, chosen.students)
    assert total["leaves"] == sum(model.size.leaves for result in results.values() for model in result.models)
    with pytest.raises(GateError, match=r"largest: family"):
        require_budget(results, chosen.students.model_copy(update={"max_leaves": 10}))


def test_a_column_that_is_withheld_is_in_no_student_though_it_carries_the_signal(toy: Toy, chosen: Settings) -> None:
    withheld = chosen.model_copy(update={"inputs": InputSettings(withheld={"column_0": "a reason that is told"})})
    assert "column_0" in _train("churn", toy, chosen).columns
    found = _train("churn", toy, withheld)
    assert found.route != "SKIP"
    assert "column_0" not in found.columns
    assert "column_0" not in found.model_text
    assert found.columns == tuple(sorted(found.columns, key=toy.matrix.columns.index))


def _persistent(toy: Toy, *, changed: float) -> TrainingMatrix:
    """Return the panel with a present class that stays what it is but for a share of the rows."""
    rng = np.random.default_rng(3)
    now = np.nan_to_num(toy.matrix.labels["family"], nan=0.0)
    now = np.where(rng.random(len(now)) < changed, rng.integers(0, 3, len(now)), now).astype(np.float32)
    return replace(toy.matrix, persistence={"family": now})


def test_a_student_that_persistence_beats_serves_nothing_however_far_above_the_prior_it_is(
    toy: Toy, chosen: Settings
) -> None:
    found = _train("family", toy, chosen, matrix=_persistent(toy, changed=0.03))
    assert found.trivial.name == "persistence"
    assert found.route == "SKIP"
    assert "the trivial forecast (persistence)" in found.reason
    assert found.metrics["test"]["direct"]["log_loss"].high < found.metrics["test"]["prior"]["log_loss"].low
    assert found.trivial.over["teacher"].low > 0
    assert "student" not in found.trivial.over
    assert to_files(from_files(to_files(found))) == to_files(found)


def test_a_student_that_beats_persistence_serves_and_the_gain_is_stored(toy: Toy, chosen: Settings) -> None:
    found = _train("family", toy, chosen, matrix=_persistent(toy, changed=0.9))
    assert found.route == "DISTILL"
    for who in ("student", "teacher"):
        assert found.trivial.over[who].high < 0
    card = json.loads(to_files(found)["student.json"])
    assert card["trivial"]["name"] == found.trivial.name
    assert card["trivial"]["over"]["student"]["high"] < 0


def test_test_rows_do_not_choose_the_trivial_forecast(toy: Toy, chosen: Settings) -> None:
    matrix = _persistent(toy, changed=0.03)
    test = matrix.rows("test")
    matrix.persistence["family"][test] = (matrix.persistence["family"][test] + 1) % 3
    assert _train("family", toy, chosen, matrix=matrix).trivial.name == "persistence"
