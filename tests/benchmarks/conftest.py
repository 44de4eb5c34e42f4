"""Makes the benchmarks importable, which are no installed package, and the planted panel of the teacher's tests."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests" / "finai_assets" / "teacher"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
