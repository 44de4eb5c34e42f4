"""The computations of the platform, one package for each step: ingest, features, labels, teacher, students, bundle, recommend."""

from pathlib import Path

from finai_assets.kernel_cache import use_cache

use_cache(Path(__file__).parent)  # before any module brings numba in, which reads the variable once
