"""C44 sits on the evaluation of lists, and reads what is stored there."""

from __future__ import annotations

from pathlib import Path

from finai_assets.asset_graph import LISTS
from finai_assets.platform import Platform
from finai_assets.recommend.evaluate import FILE
from finai_checks.framework.check import CheckContext
from finai_checks.framework.small_lake import small_settings
from finai_checks.lists.checks import NOT_BELOW_RIVALS, declare_checks, evaluate_rivals
from finai_resources.json_text import to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from tests.finai_checks.lists.test_verdicts import lists, over


def test_it_sits_on_the_evaluation_alone_and_blocks_no_run() -> None:
    (declared,) = declare_checks(Platform.of(small_settings()))
    assert (declared.asset, declared.blocking, declared.months) == (LISTS, False, None)
    assert NOT_BELOW_RIVALS.name in small_settings().promotion.mandatory  # but a promotion asks for it


def test_the_stored_evaluation_is_judged(tmp_path: Path) -> None:
    lake, platform = Lake.on_disk(tmp_path), Platform.of(small_settings())
    behind = over(ease={"value": -0.1, "low": -0.2, "high": -0.05})
    for told, passed in ((lists(), True), (lists(ours_over=behind), False)):
        with lake.write(LISTS) as out:
            out.put(FILE, to_json(told))
        assert evaluate_rivals(CheckContext(LakeSession(lake), platform, None), LISTS).passed is passed
