from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import ablation_program
import psutil
import pytest
from ablation_program import plan, small_study

from finai_resources.errors import FinaiError
from studies.teacher.processes import run_side_by_side
from studies.teacher.runs import Runs, run_all

HELPERS = Path(ablation_program.__file__).parent


def figures(results):
    return [{key: value for key, value in result.items() if key not in {"seconds", "overhead"}} for result in results]


def study_that_kills_its_process(*, after: Path):
    """Opens the study, and ends the process by SIGKILL once a result is there."""
    study = small_study()
    fingerprint = study.fingerprint

    def dying(variant, seed):
        if list(after.glob("*.json")):
            os.kill(os.getpid(), signal.SIGKILL)
        return fingerprint(variant, seed)

    object.__setattr__(study, "fingerprint", dying)
    return study


def test_two_processes_give_the_figures_of_one_in_the_order_of_the_plan_and_leave_nothing_to_do(tmp_path):
    study = small_study()
    planned, one, two = plan(study), Runs(tmp_path / "one"), Runs(tmp_path / "two")
    told: list[str] = []
    found = run_side_by_side(small_study, planned, two, 2, lambda unit, _: told.append(unit.variant.name))
    assert sorted(told) == sorted(unit.variant.name for unit in planned)
    assert [result["variant"] for result in found] == [unit.variant.name for unit in planned]
    assert figures(found) == figures(run_all(study, planned, one))
    assert [two.find(unit) for unit in planned] == found
    assert run_side_by_side(small_study, planned, two, 2, lambda *_: pytest.fail("a finished run is computed again"))


@pytest.mark.slow
def test_a_process_that_dies_ends_the_study_with_the_way_out_and_keeps_what_is_finished(tmp_path):
    planned, stored = plan(small_study()), Runs(tmp_path)
    stored.folder.mkdir(exist_ok=True)
    opener = partial(study_that_kills_its_process, after=tmp_path)
    with pytest.raises(FinaiError, match="a process of the ablation died") as caught:
        run_side_by_side(opener, planned, stored, 1, lambda *_: None)
    assert "fewer --workers" in str(caught.value)
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert len(run_all(small_study(), planned, stored)) == len(planned)


@pytest.mark.slow
def test_the_processes_end_with_the_one_that_started_them(tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {str(HELPERS)!r})\n"
        "import time\n"
        "from pathlib import Path\n"
        "from ablation_program import plan, small_study\n"
        "from studies.teacher.processes import run_side_by_side\n"
        "from studies.teacher.runs import Runs\n"
        "def waits(): time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        f"    run_side_by_side(waits, plan(small_study()), Runs(Path({str(tmp_path)!r})), 2, print)\n"
    )
    file = tmp_path / "program.py"
    file.write_text(program, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(file)], cwd=HELPERS.parents[1])
    try:
        children: list[psutil.Process] = []
        limit = time.monotonic() + 120
        while len([c for c in children if "spawn_main" in " ".join(c.cmdline())]) < 2 and time.monotonic() < limit:
            time.sleep(0.2)
            children = psutil.Process(parent.pid).children(recursive=True)
        time.sleep(8)  # until both have begun to watch for their parent
        assert len(children) >= 2
        os.kill(parent.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
    finally:
        parent.kill()
        parent.wait()
