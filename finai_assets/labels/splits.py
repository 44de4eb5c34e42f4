"""Train, validation and test months, with gaps between them that no label window reaches across.

A label of month m is known only at ``cutoff(m + horizon)``. Between that instant for the last train month and the first
validation cutoff lie at least ``gap_days`` days, likewise before test. Snapshot months in none of the three are *purged*: they
are computed, but no model learns their labels or is scored on them. Months after test are *later*: they come by and by, so that
what is fixed here names none of them, and a new month alters nothing that was fitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from finai_assets.settings import MonthSpan, Settings
from finai_resources.errors import GateError
from finai_resources.json_text import to_json
from finai_resources.months import Month, month_range

# Below a week, weekly rhythms tie both sides of the gap together; no setting goes lower.
MINIMUM_GAP_DAYS = 7

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Splits:
    """Months of each split, ascending, and the snapshot months up to the last of test that lie in none."""

    train: tuple[Month, ...]
    validation: tuple[Month, ...]
    test: tuple[Month, ...]
    purged: tuple[Month, ...]

    def __iter__(self) -> Iterator[tuple[SplitName, tuple[Month, ...]]]:
        yield "train", self.train
        yield "validation", self.validation
        yield "test", self.test

    @property
    def months(self) -> tuple[Month, ...]:
        """Return every month that is used, ascending."""
        return self.train + self.validation + self.test

    @property
    def transfer(self) -> tuple[Month, ...]:
        """Return the purged months before test: without labels, a copy may learn there what its teacher answers."""
        return tuple(month for month in self.purged if month < self.test[0])

    def to_json(self) -> bytes:
        """Return the months of each split as JSON."""
        named = {name: getattr(self, name) for name in ("train", "validation", "test", "purged")}
        return to_json({name: [m.key for m in months] for name, months in named.items()}, indent=1)

    def of(self, month: Month) -> SplitName | Literal["purged", "later"]:
        """Return the split that a snapshot month belongs to.

        Raises
        ------
        GateError
            It is no snapshot month.
        """
        for name, months in self:
            if month in months:
                return name
        if month in self.purged:
            return "purged"
        if month > self.test[-1]:
            return "later"
        raise GateError(f"{month} is no snapshot month", where="dataset.snapshot_months", fix="ask for one of them")


@dataclass(frozen=True, slots=True)
class Gap:
    """The gap between two splits.

    ``label_end`` is the instant at which the earlier split's last label is known, ``first_cutoff`` the instant at which the
    later split's first features end.
    """

    earlier: SplitName
    later: SplitName
    last_month: Month
    first_month: Month
    label_end: datetime
    first_cutoff: datetime

    @property
    def days(self) -> int:
        """Return whole days of gap; negative where a label window reaches past the cutoff."""
        return (self.first_cutoff - self.label_end).days


def make_splits(settings: Settings) -> Splits:
    """Lay the splits out and refuse an order or a gap through which a label could leak.

    Raises
    ------
    GateError
        The splits are out of order or overlap, or a gap is shorter than ``gap_days`` (never below 7); the error names the
        dates and the days.
    """
    spans = settings.dataset.splits
    for gap in _gaps(spans.train, spans.validation, spans.test, settings.horizon_months):
        where = f"dataset.splits: {gap.earlier} -> {gap.later}"
        if gap.first_month <= gap.last_month:
            raise GateError(
                f"{gap.later} begins with {gap.first_month}, not after {gap.earlier} ends with {gap.last_month}",
                where=where,
                fix="order the splits train, validation, test, without a common month",
            )
        required = max(MINIMUM_GAP_DAYS, settings.gap_days)
        if gap.days < required:
            raise GateError(
                f"the labels of {gap.last_month} are known on {gap.label_end:%Y-%m-%d} and the first cutoff of "
                f"{gap.later} ({gap.first_month}) is {gap.first_cutoff:%Y-%m-%d}: a gap of {gap.days} days, "
                f"{required} are required",
                where=where,
                fix=f"end {gap.earlier} earlier or begin {gap.later} later",
            )
    used = {month for span in (spans.train, spans.validation, spans.test) for month in span}
    first, last = settings.dataset.snapshot_months.first, spans.test.last
    purged = tuple(month for month in month_range(first, last) if month not in used)
    return Splits(tuple(spans.train), tuple(spans.validation), tuple(spans.test), purged)


def gap_report(splits: Splits, settings: Settings) -> list[dict[str, Any]]:
    """Return the dates of both gaps as plain values, for the evidence of the gap check.

    Computed from the splits as they are used, whatever the configuration says; ``ok`` restates the arithmetic.
    """
    train, validation, test = (MonthSpan(first=months[0], last=months[-1]) for _, months in splits)
    required = max(MINIMUM_GAP_DAYS, settings.gap_days)
    return [
        {
            "after": gap.earlier,
            "before": gap.later,
            "last_month": gap.last_month.key,
            "first_month": gap.first_month.key,
            "label_window_end": gap.label_end.date().isoformat(),
            "first_cutoff": gap.first_cutoff.date().isoformat(),
            "days": gap.days,
            "required_days": required,
            "purged": [m.key for m in splits.purged if gap.last_month < m < gap.first_month],
            "ok": gap.first_month > gap.last_month and gap.days >= required,
        }
        for gap in _gaps(train, validation, test, settings.horizon_months)
    ]


def _gaps(train: MonthSpan, validation: MonthSpan, test: MonthSpan, horizon: int) -> tuple[Gap, Gap]:
    def between(earlier: SplitName, before: MonthSpan, later: SplitName, after: MonthSpan) -> Gap:
        return Gap(earlier, later, before.last, after.first, (before.last + horizon).cutoff, after.first.cutoff)

    return between("train", train, "validation", validation), between("validation", validation, "test", test)
