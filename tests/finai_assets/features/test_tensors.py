"""Side tensors lie beside their group's columns and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from stored_tensors import read_tensor

from finai_assets.features.tensors import Tensor, tensor_batch, tensor_writer
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

TENSOR = Tensor("diagrams", (2, 3, 2), "dimension x point x (birth, death)")


def test_blocks_come_back_in_order_with_their_customers(lake: Lake) -> None:
    stored = np.random.default_rng(0).random((7, 2, 3, 2)).astype(np.float32)
    ids = np.arange(7) * 10
    with lake.write("features/tda", "2015-01") as out, tensor_writer(out, TENSOR) as writer:
        for rows in (slice(0, 4), slice(4, 7)):
            writer.write_batch(tensor_batch(TENSOR, ids[rows], stored[rows]))
    found_ids, found = read_tensor(LakeSession(lake), "features/tda", "2015-01", TENSOR)
    assert found_ids.tolist() == ids.tolist()
    np.testing.assert_array_equal(found, stored)
    assert [file.role for file in lake.manifest("features/tda", "2015-01").files] == ["diagrams.arrow"]


def test_a_tensor_of_another_shape_or_with_a_hole_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"tensor diagrams: \(2, 2, 3, 1\)"):
        tensor_batch(TENSOR, np.arange(2), np.zeros((2, 2, 3, 1), np.float32))
    hole = np.zeros((2, 2, 3, 2), np.float32)
    hole[1, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="1 values are not finite"):
        tensor_batch(TENSOR, np.arange(2), hole)
