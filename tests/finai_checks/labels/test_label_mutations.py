"""Errors of the product's own code are found: labels are derived by changed code on a small lake, and C45 says what they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from finai_assets.labels import derive, windows
from finai_assets.labels.derive import compute_labels
from finai_assets.labels.task import Task
from finai_assets.labels.windows import LabelBlock
from finai_assets.settings import Settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckOutcome
from finai_checks.framework.small_lake import SmallLake, small_settings
from finai_checks.labels.checks import RECOMPUTED, UNLIKE_BEFORE, WINDOW_ALONE
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

pytestmark = pytest.mark.slow
EARLY = (
    "nba_primary", "cross_sell_count", "will_acquire_deposits", "will_acquire_investments", "will_acquire_accounts",
    "will_acquire_lending", "will_acquire_payments",
)  # fmt: skip
Read = Callable[[LakeSession, Month, np.ndarray, Sequence[Task], Settings], LabelBlock]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    return SmallLake.build(tmp_path_factory.mktemp("small") / "good")


@pytest.fixture
def small(good: SmallLake, tmp_path: Path) -> SmallLake:
    return good.copy(tmp_path / "spoiled")


def derive_by(small: SmallLake, monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    """Derive the labels of the last train month with another reader of blocks, as an edit of one line would."""
    monkeypatch.setattr(derive, "read_block", read)
    compute_labels(
        small.session, small.month, small.platform.available_tasks, small.settings, versions=one_version("changed")
    )
    monkeypatch.undo()


def outcomes(small: SmallLake, name: str) -> dict[str, CheckOutcome]:
    """Return what a check says of every task."""
    checks = [check for check in declared_checks(small.platform) if check.name == name]
    month = small.month if checks[0].months else None
    found = checks[0].evaluate_on(small.context(month), [check.asset for check in checks])
    return {asset.rpartition("/")[2]: outcome for asset, outcome in found.items()}


def snapshot_months_acquisitions(
    session: LakeSession, month: Month, block: np.ndarray, tasks: Sequence[Task], settings: Settings
) -> LabelBlock:
    """Take what was acquired in the snapshot month for what is acquired in the next."""
    right = windows.read_block(session, month, block, tasks, settings)
    return replace(right, held=right.held[:, :-1], observed=right.observed[:, :-1], held_next=right.held[:, -1])


def test_labels_as_derived_pass(small: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    derive_by(small, monkeypatch, windows.read_block)
    assert [name for name, outcome in outcomes(small, RECOMPUTED.name).items() if not outcome.passed] == []
    assert len(outcomes(small, RECOMPUTED.name)) == 13


def test_the_snapshot_months_acquisitions_are_found_in_every_task_of_acquisitions(
    small: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    derive_by(small, monkeypatch, snapshot_months_acquisitions)
    found = outcomes(small, RECOMPUTED.name)
    for name in EARLY:
        assert not found[name].passed
        assert "one month early" in found[name].reason
    alike = outcomes(small, UNLIKE_BEFORE.name)
    assert "events are the same as in the month before" in alike["cross_sell_count"].reason
    assert not alike["nba_primary"].passed


def test_all_windows_one_month_early_are_found_and_named(small: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    def early(
        session: LakeSession, month: Month, block: np.ndarray, tasks: Sequence[Task], settings: Settings
    ) -> LabelBlock:
        return windows.read_block(session, month - 1, block, tasks, settings)

    derive_by(small, monkeypatch, early)
    found = outcomes(small, RECOMPUTED.name)
    named = [name for name, outcome in found.items() if "one month early" in outcome.reason]
    assert [name for name, outcome in found.items() if outcome.passed and name != "segment_prediction"] == []
    assert {*EARLY, "churn_signal", "product_stability", "next_mcc", "mcc_diversity_trend", "top_mcc_shift"} <= {*named}


def test_a_window_that_takes_lines_of_the_month_before_is_found(
    small: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wider(
        session: LakeSession, month: Month, block: np.ndarray, tasks: Sequence[Task], settings: Settings
    ) -> LabelBlock:
        right = windows.read_block(session, month, block, tasks, settings)
        both = [
            np.concatenate([getattr(right.before, name), getattr(right.window, name)]) for name in ("row", "ts", "mcc")
        ]
        return replace(right, window=windows.WindowEvents(*both))

    derive_by(small, monkeypatch, wider)
    found = outcomes(small, RECOMPUTED.name)
    for name in ("next_mcc", "mcc_diversity_trend", "top_mcc_shift"):
        assert not found[name].passed
    assert found["churn_signal"].passed


def test_the_audit_finds_a_formula_that_reads_more_than_its_row_declares(
    small: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sum of amounts creeps into the label of diversity: its row names no amount."""

    def with_amounts(
        session: LakeSession, month: Month, block: np.ndarray, tasks: Sequence[Task], settings: Settings
    ) -> LabelBlock:
        right = windows.read_block(session, month, block, tasks, settings)
        lines = session.read("raw/transactions", month.key)
        large = lines.filter(pc.greater(lines["amount"], 50_000))["customer_id"].to_numpy()
        return replace(right, held_next=right.held_next | np.isin(block, large)[:, None])

    monkeypatch.setattr(derive, "read_block", with_amounts)
    compute_labels(
        small.session, small.month, small.platform.available_tasks, small.settings, versions=one_version("changed")
    )
    outcome = outcomes(small, WINDOW_ALONE.name)["training_matrix"]
    assert not outcome.passed
    assert "labels of cross_sell_count change with what it does not declare" in outcome.reason


def test_a_label_of_a_month_that_has_not_passed_is_refused(small: SmallLake) -> None:
    dataset = small_settings().dataset
    raw = dataset.raw_months.model_copy(update={"last": small.month})
    shorter = small.settings.model_copy(update={"dataset": dataset.model_copy(update={"raw_months": raw})})
    small.platform = replace(small.platform, settings=shorter)
    assert {"immature" in outcome.reason for outcome in outcomes(small, RECOMPUTED.name).values()} == {True}
