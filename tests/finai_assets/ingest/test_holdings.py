"""Lists of held products become flags; a product that the catalogue does not have is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.ingest.holdings import multi_hot
from finai_resources.errors import LakeError


def lists(*chunks: list[list[int] | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(chunk, pa.list_(pa.int16())) for chunk in chunks], pa.list_(pa.int16()))


def test_each_row_has_a_flag_for_each_product_it_holds() -> None:
    found = multi_hot(lists([[0, 2], [], None], [[1]]), 3, where="raw/snapshots@2015-01")
    assert found.dtype == np.bool_
    assert found.astype(int).tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_a_slice_has_the_flags_of_its_own_rows() -> None:
    whole = lists([[0], [1, 2], None, [2]])
    assert multi_hot(whole.slice(1, 3), 3, where="x").astype(int).tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 1]]


def test_no_row_has_no_flags() -> None:
    assert multi_hot(lists(), 3, where="x").shape == (0, 3)


@pytest.mark.parametrize("product", [-1, 3])
def test_a_product_outside_the_catalogue_is_refused(product: int) -> None:
    with pytest.raises(LakeError, match=r"1 held products have an id outside 0\.\.2") as raised:
        multi_hot(lists([[0, product]]), 3, where="raw/snapshots@2015-01")
    assert "raw/snapshots@2015-01" in str(raised.value)
