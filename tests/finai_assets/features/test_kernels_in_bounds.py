"""No kernel reads or writes beside its arrays, not even of events that should not be in a block."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_every_group_fits_and_computes_within_its_arrays_also_of_events_after_the_cutoff(tmp_path: Path) -> None:
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "tests.helpers.kernels_in_bounds", str(tmp_path / "lake")]
    ran = subprocess.run(words, cwd=ROOT, env={**os.environ, **checked}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout.splitlines()[-1]) == {}
