"""What the tests of several groups share."""

from __future__ import annotations

from typing import Any

import pytest

from finai_assets.features.block import Block, block_ranges, read_block
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


@pytest.fixture(scope="module")
def block(world: Any, month: Month) -> Block:
    """Return all customers of the month as one block."""
    session = LakeSession(world.lake)
    ranges = block_ranges(session, month, world.settings)
    return read_block(session, month, ranges[0][0], ranges[-1][1], world.settings)
