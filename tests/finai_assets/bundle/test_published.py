"""A bundle is published, as an export and as challenger, once its own checks have passed, and in a step of its own."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from bundle_fixtures import Made
from vouched import PASSED, tell

from finai_assets.asset_graph import BUNDLE, EVALUATION, FIDELITY, PUBLISHED, TEACHER
from finai_assets.bundle.registry import CHALLENGER, Registry, id_of
from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_assets.promotion.assets import register_stored
from finai_checks import bundle as room
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckOutcome
from finai_checks.gates import CheckGates
from finai_resources.errors import PromotionError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FAILED = CheckOutcome(False, "a golden row is not reproduced", 10)


def test_before_its_own_check_has_passed_a_bundle_has_no_alias_and_no_export(
    made: Made, bundle_files: dict[str, bytes], lake: Lake, tmp_path: Path
) -> None:
    home = Home(tmp_path, lake.root)
    platform = Platform.of(made.settings, SecretStore(home.root))
    gates = CheckGates(platform, (room.THEME,))
    definitions = build_definitions(settings=made.settings, home=home, resources={"gates": gates})
    (check,) = (check for check in declared_checks(platform, (room.THEME,)) if check.asset == BUNDLE)
    for asset in (TEACHER, EVALUATION, FIDELITY):
        with lake.write(asset) as out:
            out.put("note.json", b"{}")
    with lake.write(BUNDLE) as out:
        for name, content in bundle_files.items():
            out.put(name, content)

    def publish() -> bool:
        result = definitions.resolve_job_def("train").execute_in_process(
            asset_selection=[dg.AssetKey(PUBLISHED.split("/"))], raise_on_error=False, run_config=QUIET
        )
        return result.success

    for outcome in (None, FAILED):
        if outcome is not None:
            tell(lake, platform, [(check, None)], outcome)
        assert not publish()
        assert Registry.read(lake).aliases == {}
        assert not home.bundles.exists()
        assert lake.find(PUBLISHED) is None
        with pytest.raises(PromotionError, match="BUNDLE_UNPUBLISHED"):  # a promotion is no side door to the alias
            register_stored(platform, LakeSession(lake))
    tell(lake, platform, [(check, None)], PASSED)
    assert publish()
    bundle_id = id_of(bundle_files)
    assert Registry.read(lake).aliases == {CHALLENGER: bundle_id}
    assert (home.bundles / bundle_id / "manifest.json").exists()
    assert register_stored(platform, LakeSession(lake)) == bundle_id


def test_the_step_that_publishes_waits_for_the_blocking_check_of_the_bundle(made: Made, tmp_path: Path) -> None:
    graph = build_definitions(settings=made.settings, home=Home.at(tmp_path)).resolve_asset_graph()
    bundle, published = (dg.AssetKey(path.split("/")) for path in (BUNDLE, PUBLISHED))
    assert bundle in graph.get(published).parent_keys
    assert graph.get(dg.AssetCheckKey(bundle, "C26_bundle_integrity")).blocking
    assert graph.get(published).execution_set_entity_keys == {published}
