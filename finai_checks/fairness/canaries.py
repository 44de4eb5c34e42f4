"""A small lake in which a protected attribute has slipped into the training matrix."""

from __future__ import annotations

import io

import numpy as np

from finai_assets.training.matrix import ARRAY, load_matrix
from finai_assets.training.matrix import ASSET as MATRIX_ASSET
from finai_checks.framework.small_lake import SmallLake


def copies_gender(small: SmallLake) -> None:
    """Write gender, otherwise coded, into the place of a column that the models read."""
    matrix = load_matrix(small.session)
    X = np.array(matrix.X)
    X[:, matrix.columns.index("is_active")] = 1 - np.abs(X[:, matrix.columns.index("gender_code")] - 1)
    out = io.BytesIO()
    np.save(out, X)
    small.put_files(MATRIX_ASSET, {ARRAY: out.getvalue()})
