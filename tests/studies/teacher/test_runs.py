from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import ablation_program
import pytest
from ablation_program import plan, small_study
from planted import OTHER, TASK

from finai_assets.scoring.metrics import NAMES
from finai_resources.errors import LakeError
from finai_resources.progress import watched
from studies.teacher import runs
from studies.teacher.runs import Runs, run, run_all, units
from studies.teacher.variants import chosen_variants

PROGRAM = Path(ablation_program.__file__)


@pytest.fixture(scope="module")
def study():
    return small_study()


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    """The results of the program's plan from a process that nobody kills."""
    return run_all(study, plan(study), Runs(tmp_path_factory.mktemp("undisturbed")))


def figures(results):
    """All of a result but the time that it took."""
    return [{key: value for key, value in result.items() if key not in {"seconds", "overhead"}} for result in results]


def killed(folder: Path, where: str) -> None:
    ended = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), where],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).resolve().parents[3],
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_a_run_tells_every_metric_on_validation_and_test_and_what_it_cost(study, undisturbed):
    result = undisturbed[0]
    assert (result["variant"], result["seed"]) == ("reference", 0)
    assert set(result["tasks"]) == {TASK, OTHER}
    for task in result["tasks"].values():
        for split in ("validation", "test"):
            assert set(task[split]["metrics"]) == set(NAMES[task["kind"]])
            assert task[split]["n"] > 0
        draws = task["draws"]
        assert len(draws["metric"]) == len(draws["skill"]) == 1 + study.settings.ablation.resamples
        assert draws["skill"][0] == pytest.approx(task["test"]["skill"], abs=1e-6)
    auc = result["tasks"][TASK]["test"]["metrics"]["auc"]
    assert result["tasks"][TASK]["test"]["skill"] == pytest.approx(2 * auc - 1)
    assert result["tasks"][TASK]["draws"]["metric"][0] == pytest.approx(auc, abs=1e-6)
    assert result["tasks"][OTHER]["test"]["skill"] == pytest.approx(result["tasks"][OTHER]["test"]["metrics"]["r2"])
    assert 1 <= result["best_epoch"] <= result["epochs"] <= 3
    assert result["seconds"] > 0
    assert result["overhead"] > 0
    assert undisturbed[1]["parameters"] < result["parameters"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(study, undisturbed):
    reference = plan(study)[0].variant
    assert figures([run(study, reference, 0, checkpoints=None)]) == figures(undisturbed[:1])
    other = run(study, reference, 1, checkpoints=None)
    assert other["tasks"] != undisturbed[0]["tasks"]


@pytest.mark.slow
def test_processes_killed_in_training_and_in_storing_leave_what_goes_on_to_equal_figures(
    study, undisturbed, tmp_path, monkeypatch
):
    planned, stored = plan(study), Runs(tmp_path)
    killed(tmp_path, "training")
    first = stored.path(planned[0]).read_bytes()
    assert stored.find(planned[1]) is None
    assert list(stored.checkpoints(planned[1]).iterdir()), "a checkpoint within the run"
    killed(tmp_path, "storing")
    assert stored.find(planned[1]) is None, "a result that was cut off is no result"
    steps: list[str] = []
    with watched(lambda label, _done, _total: steps.append(label)):
        results = run_all(study, planned, stored)
    assert steps == [], "the training had ended before the second death"
    assert stored.path(planned[0]).read_bytes() == first
    assert figures(results) == figures(undisturbed)
    monkeypatch.setattr(runs, "run", lambda *args, **kwargs: pytest.fail("a finished run is computed again"))
    assert run_all(study, planned, stored) == results
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".partial", ".safetensors"}]


def test_a_stale_result_is_not_taken_and_stays_as_it_is(study, undisturbed, tmp_path, monkeypatch):
    stored = Runs(tmp_path)
    old = plan(study)[:1]
    stored.put(old[0], undisturbed[0])
    settings = study.settings
    slower = settings.teacher.model_copy(update={"learning_rate": settings.teacher.learning_rate / 2})
    changed = runs.Study(study.matrix, study.registry, settings.model_copy(update={"teacher": slower}), "planted", {})
    done = []
    (result,) = run_all(changed, plan(changed)[:1], stored, each=lambda unit, found: done.append(unit.fingerprint))
    assert done == [plan(changed)[0].fingerprint] != [old[0].fingerprint]
    assert result["tasks"] != undisturbed[0]["tasks"]
    assert stored.find(old[0]) == undisturbed[0]
    assert stored.others(plan(changed)) == 1


def test_a_damaged_result_and_another_runs_are_refused_with_the_way_out(study, undisturbed, tmp_path):
    stored, (unit, other) = Runs(tmp_path), plan(study)
    stored.put(unit, undisturbed[0])
    stored.path(other).write_bytes(stored.path(unit).read_bytes())
    with pytest.raises(LakeError, match=r"another run's.*\n.*remove the file"):
        stored.find(other)
    stored.path(unit).write_text('{"variant": "refer')
    with pytest.raises(LakeError, match="damaged"):
        run_all(study, [unit], stored)


def test_two_processes_do_not_run_in_one_folder(tmp_path):
    first, second = Runs(tmp_path), Runs(tmp_path)
    with first.claim(), pytest.raises(LakeError, match="another process"), second.claim():
        pytest.fail("the claim was given twice")
    with second.claim():
        pass


def test_runs_are_planned_seed_by_seed(study):
    variants = chosen_variants(study.settings, (), ["without_deepfm", "gates"])
    planned = [(unit.variant.name, unit.seed) for unit in units(study, variants, 2)]
    names = ["reference", "without_deepfm", "sigmoid_gates"]
    assert planned == [(name, seed) for seed in (0, 1) for name in names]
