"""C28: a model without a record of how it was made, or that is not reproduced, is found."""

from __future__ import annotations

from typing import Any

import pytest

from finai_assets.asset_graph import BUNDLE
from finai_assets.made_with import EXTRA, made_with
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.teacher.result import TrainingFingerprint
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared
from finai_checks.models.checks import REPRODUCIBLE
from finai_checks.models.reproduction import Replay, reproducible, teacher_is_reproducible
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

MATRIX, TEACHER = "teacher/training_matrix", "teacher/ple"


@pytest.fixture(scope="module")
def platform(settings: Settings) -> Platform:
    return Platform.of(settings)


def record(settings: Settings, **changed: Any) -> dict[str, Any]:
    return {**made_with(settings.seed), "commit": "c" * 40, "clean": True, "source_fault": "", "lock": "l", **changed}


def put(lake: Lake, asset: str, content: bytes = b"1", *, upstream: dict[str, str] | None = None, **extra: Any) -> str:
    with lake.write(asset, upstream=upstream or {}, extra=extra) as out:
        out.put("x", content)
    return lake.manifest(asset).content_hash


def check_of(platform: Platform, asset: str) -> Declared:
    return next(c for c in declared_checks(platform) if c.kind == REPRODUCIBLE and c.asset == asset)


def outcome_of(lake: Lake, platform: Platform, asset: str) -> CheckOutcome:
    return check_of(platform, asset).evaluate(CheckContext(LakeSession(lake), platform))


def models(lake: Lake, platform: Platform) -> list[str]:
    """Store a matrix, a teacher, students and a bundle, each with a clean record."""
    made = record(platform.settings)
    students = [f"students/{task.name}" for task in platform.available_tasks]
    upstream = {MATRIX: put(lake, MATRIX)}
    put(lake, TEACHER, upstream=upstream, **{EXTRA: made})
    behind = {**upstream, **{name: put(lake, name, name.encode(), **{EXTRA: made}) for name in students}}
    put(lake, BUNDLE, upstream=behind, **{EXTRA: made})
    return students


def test_a_bundle_answers_for_its_teacher_and_all_its_students(lake: Lake, platform: Platform) -> None:
    students = models(lake, platform)
    outcome = outcome_of(lake, platform, BUNDLE)
    assert outcome.passed, outcome.reason
    assert outcome.observed["models"] == len(students) + 2
    assert outcome.observed["commits"] == ["c" * 40]
    kept = lake.manifest(students[3]).content_hash
    put(
        lake, students[3], students[3].encode(), **{EXTRA: record(platform.settings, clean=False, source_fault="dirty")}
    )
    assert lake.manifest(students[3]).content_hash == kept
    outcome = outcome_of(lake, platform, BUNDLE)
    assert outcome.reason == f"{students[3]}: made from an unclean tree (dirty)"


def test_a_student_that_was_distilled_anew_since_is_named(lake: Lake, platform: Platform) -> None:
    students = models(lake, platform)
    put(lake, students[0], b"another", **{EXTRA: record(platform.settings)})
    outcome = outcome_of(lake, platform, BUNDLE)
    assert outcome.reason == f"{students[0]} is not recorded, or has changed since"


def test_a_teacher_without_a_record_fails_with_a_reason_and_no_trace(lake: Lake, platform: Platform) -> None:
    put(lake, TEACHER, upstream={MATRIX: put(lake, MATRIX)})
    outcome = outcome_of(lake, platform, TEACHER)
    assert not outcome.passed
    assert outcome.reason == "teacher/ple does not say what it was made with"


def test_whether_it_blocks_is_a_setting(platform: Platform) -> None:
    assert not check_of(platform, TEACHER).blocking
    settings = platform.settings
    strict = settings.checks.reproducible.model_copy(update={"require_clean": True})
    checks = settings.checks.model_copy(update={"reproducible": strict})
    assert check_of(Platform.of(settings.model_copy(update={"checks": checks})), TEACHER).blocking


@pytest.mark.parametrize("missing", ["commit", "clean", "lock", "seed", "versions", "machine"])
def test_each_fact_is_asked_for(settings: Settings, missing: str) -> None:
    whole = record(settings)
    assert reproducible({TEACHER: whole}, seed=settings.seed, sources={}).n == 6
    without = {name: value for name, value in whole.items() if name != missing}
    outcome = reproducible({TEACHER: without}, seed=settings.seed, sources={})
    assert not outcome.passed
    assert outcome.n == 5 or missing == "commit"


def test_processes_that_agree_with_each_other_and_not_with_the_training_fail() -> None:
    stored, other = TrainingFingerprint(4, "a"), Replay(TrainingFingerprint(4, "b"), 300, {})
    assert teacher_is_reproducible(stored, [Replay(stored, 300, {})] * 2).passed
    outcome = teacher_is_reproducible(stored, [other, other], elsewhere=["another lock file"])
    assert not outcome.passed
    assert outcome.reason.endswith("it was made elsewhere: another lock file")


def test_a_process_that_compared_nothing_is_no_evidence() -> None:
    stored = TrainingFingerprint(4, "a")
    for empty in (Replay(None, 300, {}), Replay(stored, 0, {})):
        assert teacher_is_reproducible(stored, [Replay(stored, 300, {}), empty]).reason == "no_evidence"
