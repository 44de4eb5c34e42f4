"""Fits and computes every group with numba's bounds checks on, also of events that lie after the cutoff; prints what went wrong.

NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=FOLDER python -m tests.helpers.kernels_in_bounds FOLDER
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from numba import config

from finai_assets.features.block import read_block, read_events
from finai_assets.features.fit import transform_group
from finai_assets.features.registry import build_registry
from finai_assets.partitions import look_back
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from tests.finai_assets.features.conftest import MONTH, make_panel, make_world, small_settings


def main(folder: Path) -> dict[str, str]:
    """Return group -> the error of its kernels."""
    assert config.BOUNDSCHECK, "without it nothing is proved"
    settings = small_settings()
    world = make_world(Lake.on_disk(folder), settings, build_registry(settings), make_panel(settings))
    session = LakeSession(world.lake)
    block = read_block(session, MONTH, -(2**63), 2**63 - 1, settings)
    months = look_back(MONTH + 1, settings)
    ahead = read_events(session, months, block.customer_id, since=months[0].start_us, cutoff=(MONTH + 1).cutoff_us)
    assert len(ahead.ts) > len(block.events.ts), "there is nothing after the cutoff"
    wrong = {}
    for group in world.registry.available:
        try:
            transform_group(
                group, replace(block, events=ahead).view(group.columns), world.states[group.name].params, settings
            )
        except IndexError as error:
            wrong[group.name] = str(error)
    return wrong


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))) + "\n")
