"""Makes the benchmarks importable, which are no installed package, the planted panel of the teacher's tests, and the bundle."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests" / "finai_assets" / "teacher"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

_NAME = "bundle_fixtures"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, ROOT / "tests" / f"{_NAME}.py")
    assert _spec is not None
    assert _spec.loader is not None
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[_NAME] = _module
    _spec.loader.exec_module(_module)

from bundle_fixtures import bundle_files, made  # noqa: E402, F401
