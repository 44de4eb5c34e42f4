"""A month of which a part failed: the run goes on with the other months, and fails at the end of the stage."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from dagster._utils.error import serializable_error_info_from_exc_info
from rich.console import Console

from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_cli import stages as command
from finai_cli.display import display
from finai_cli.execute import Runner, _chain, _error_of
from finai_cli.plan import Unit, main_job
from finai_cli.workers import Workers
from finai_resources.errors import FinaiError, LakeError, PartError

WORK: Any = ([], ["features/demographics"])


class TwoWorkers(Workers):
    """Does what two workers do, in this process."""

    def __len__(self) -> int:
        return 2

    def run(self, tasks: Sequence[Any], *, done: Callable[[int, Any], None] = lambda *_: None, **_more: Any) -> None:
        for number, (unit, altered) in enumerate(tasks):
            done(number, command._attempt(unit, cast(Runner, None), [], altered))


def run_features(
    monkeypatch: pytest.MonkeyPatch, errors: dict[int, FinaiError], pool: Workers
) -> tuple[list[str | None], Any]:
    """Run the stage of features with months that fail; return the months that were begun, and the error of the stage."""
    stages = {stage.name: stage for stage in main_job(Platform.of(load_settings("synthetic", "smoke")))}
    stage, begun, computed = stages["features"], list[str | None](), set[str | None]()

    def bring_up_to_date(unit: Unit, *_rest: object) -> bool:
        begun.append(unit.partition)
        if (error := errors.get(len(begun))) is not None:
            raise error
        computed.add(unit.partition)
        return True

    monkeypatch.setattr(command, "_todo", lambda unit, *_: ([], []) if unit.partition in computed else WORK)
    monkeypatch.setattr(command, "_bring_up_to_date", bring_up_to_date)
    with display(Console(file=io.StringIO())) as show:
        try:
            command.run_stage(stage, cast(Runner, None), [], show, pool)
        except FinaiError as error:
            return begun, error
    return begun, None


POOLS = pytest.mark.parametrize("pool", [Workers(()), TwoWorkers(())], ids=["one process", "two workers"])


@POOLS
def test_the_other_months_are_computed_and_the_stage_fails_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, pool: Workers
) -> None:
    failing = {2: PartError("demographics failed"), 4: PartError("tda_local failed")}
    begun, error = run_features(monkeypatch, failing, pool)
    assert len(begun) == 7  # every month of the stage, once
    assert type(error) is PartError
    assert "demographics failed" in str(error)
    assert "tda_local failed" in str(error)


@POOLS
def test_a_month_that_fails_as_a_whole_ends_the_stage(monkeypatch: pytest.MonkeyPatch, pool: Workers) -> None:
    gone = LakeError("the disk is gone")
    begun, error = run_features(monkeypatch, {2: gone}, pool)
    assert len(begun) == 2
    assert error is gone


@pytest.mark.parametrize("kind", [PartError, LakeError])
def test_the_error_of_a_step_says_whether_a_part_is_stored(kind: type[FinaiError]) -> None:
    try:
        raise RuntimeError("step") from kind("2 feature groups could not be computed")
    except RuntimeError:
        chain = list(_chain(serializable_error_info_from_exc_info(sys.exc_info())))
    assert isinstance(_error_of(chain, "monthly_features 2015-03"), PartError) == (kind is PartError)
