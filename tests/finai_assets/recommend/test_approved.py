"""A month is scored by the champion, becomes stale where another one is, and where a permission is given or taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from bundle_fixtures import KEY, Made
from dagster_aws.s3 import S3Resource

from finai_assets.asset_graph import BUNDLE, DECISIONS, PERMITTED, RECOMMENDATIONS, SCORED_BY
from finai_assets.bundle.registry import Registry, is_approved, register, scoring
from finai_assets.platform import Platform
from finai_assets.recommend.assets import build_assets
from finai_assets.recommend.score import CONSENT_CHECK
from finai_assets.settings import load_settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.overrides import Grant, add_override, revoke_override
from finai_checks.gates import CheckGates
from finai_cli.plan import Unit, stale_assets
from finai_resources.errors import BundleError
from finai_resources.home_resource import HomeResource
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

BOTH = [RECOMMENDATIONS, DECISIONS]
FAILED = "the gate of the stored bundle"


class Room:
    """A lake with a scored month, and what a run of the job does in it."""

    def __init__(self, made: Made, lake: Lake, home: Path, month: Month) -> None:
        secrets = SecretStore(home)
        secrets.put("signing", KEY)
        self.platform = Platform.of(load_settings("synthetic", "smoke"), secrets)
        self.made, self.lake, self.home, self.month, self.secrets = made, lake, home, month, secrets
        self.checks = [check for check in declared_checks(self.platform) if check.name == CONSENT_CHECK]
        self.unproved: set[str] = set()

    def store(self, files: dict[str, bytes]) -> str:
        with LakeSession(self.lake).write(BUNDLE, code_version="test") as out:
            for name, content in files.items():
                out.put(name, content)
        return register(self.lake, files, {})

    def promote(self, bundle_id: str) -> None:
        registry = Registry.read(self.lake)
        aliases = {**registry.aliases, "champion": bundle_id}
        assert registry.append({"kind": "promotion", "bundle": bundle_id, "aliases": aliases})

    def score(self, **named: Any) -> dict[str, Any]:
        """Run the asset, with a bundle that is named; return what its materialisation tells."""
        asked = CheckGates(self.platform)
        room = self

        class Gates:
            """The gates, of which only permissions are real."""

            permission = staticmethod(asked.permission)

            def demand(self, lake: Lake, partitions: list[tuple[str, str | None]]) -> None:
                if failed := room.unproved & {path for path, _ in partitions}:
                    raise BundleError(FAILED, where=str(failed), fix="")

        result = dg.materialize(
            [build_assets(self.platform)[0]],
            partition_key=self.month.partition_key,
            run_config={"ops": {"customers": {"config": named}}},
            resources={
                "lake": LakeResource(root=self.lake.root, s3=S3Resource()),
                "home": HomeResource(root=str(self.home)),
                "gates": Gates(),
            },
        )
        (event,) = result.asset_materializations_for_node("customers")[:1]
        return {name: value.value for name, value in event.metadata.items()}

    @property
    def stale(self) -> list[str]:
        unit = Unit("score_month", tuple(BOTH), self.month)
        return stale_assets(
            self.lake,
            self.platform,
            unit,
            [replace(each, kind=replace(each.kind, blocking=False)) for each in self.checks],
        )

    @property
    def hashes(self) -> list[str]:
        return [self.lake.manifest(path, self.month.key).content_hash for path in BOTH]

    @property
    def extra(self) -> dict[str, Any]:
        return dict(self.lake.manifest(RECOMMENDATIONS, self.month.key).extra)


@pytest.fixture
def room(made: Made, lake: Lake, tmp_path: Path, month: Month) -> Room:
    return Room(made, lake, tmp_path / "home", month)


def test_a_month_follows_the_champion_and_a_rollback_restores_its_bytes(
    room: Room, bundle_files: dict[str, bytes], shipped_files: dict[str, bytes]
) -> None:
    with pytest.raises(BundleError, match="no bundle is challenger"):
        scoring(room.lake)
    first = room.store(bundle_files)
    told = room.score()
    assert (told[SCORED_BY], told["approved"]) == (first, False)  # no champion yet
    assert room.stale == []
    before = room.hashes
    room.promote(first)
    assert room.stale == []  # the same bundle, approved now
    assert is_approved(room.lake, room.extra[SCORED_BY])
    second = room.store(shipped_files)
    assert second != first
    assert room.stale == []  # a challenger scores nobody while there is a champion
    room.unproved = {BUNDLE}
    assert room.score()[SCORED_BY] == first  # nor does what it failed stop the champion
    assert room.hashes == before
    room.unproved = set()
    room.promote(second)
    assert room.stale == BOTH
    told = room.score()
    assert (told[SCORED_BY], told["approved"]) == (second, True)
    assert room.stale == []
    assert room.hashes != before
    room.promote(first)  # as a rollback does
    assert room.stale == BOTH
    room.score()
    assert (room.stale, room.hashes) == ([], before)


def test_a_named_challenger_scores_under_its_own_gate_and_never_takes_the_champions_month_unasked(
    room: Room, bundle_files: dict[str, bytes], shipped_files: dict[str, bytes]
) -> None:
    first = room.store(bundle_files)
    room.promote(first)
    room.score()
    before = room.hashes
    second = room.store(shipped_files)
    with pytest.raises(BundleError, match=f"was scored by {first}, whose table would be lost"):
        room.score(bundle="challenger")
    room.unproved = {BUNDLE}
    with pytest.raises(BundleError, match=FAILED):
        room.score(bundle="challenger", replace=True)
    assert room.hashes == before
    room.unproved = set()
    told = room.score(bundle="challenger", replace=True)
    assert (told[SCORED_BY], told["approved"]) == (second, False)
    assert room.stale == BOTH  # as the champion scores the last month of a run
    assert room.score()[SCORED_BY] == first
    assert (room.stale, room.hashes) == ([], before)


def test_without_a_champion_a_month_follows_the_challenger_and_its_gate(
    room: Room, bundle_files: dict[str, bytes], shipped_files: dict[str, bytes]
) -> None:
    room.store(bundle_files)
    room.score()
    second = room.store(shipped_files)
    assert room.stale == BOTH
    room.unproved = {BUNDLE}
    with pytest.raises(BundleError, match=FAILED):
        room.score()
    room.unproved = set()
    assert room.score()[SCORED_BY] == second
    assert room.stale == []


def test_a_month_is_stale_once_a_permission_is_given_or_taken_back(room: Room, bundle_files: dict[str, bytes]) -> None:
    room.store(bundle_files)
    room.score()
    before = room.hashes
    reason = "the data are of a study; nobody is told"
    until = datetime.now(UTC).date() + timedelta(days=20)

    def sign(month: Month) -> str:
        grant = Grant(CONSENT_CHECK, RECOMMENDATIONS, (month,), "Kim, compliance", reason, until)
        return add_override(room.lake, room.secrets, grant).id

    sign(room.month + 1)
    assert room.stale == []  # out of scope
    identity = sign(room.month)
    assert room.stale == BOTH
    room.score()
    assert room.extra[PERMITTED] == f"Kim, compliance until {until}: {reason}"
    assert room.stale == []
    revoke_override(room.lake, room.secrets, identity, approver="Lee", reason="the study is over")
    assert room.stale == BOTH
    room.score()
    assert (room.extra[PERMITTED], room.stale, room.hashes) == ("", [], before)
