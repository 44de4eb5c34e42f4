"""Which months a data set has, which of them are snapshots, and how they are split, from the rows that a file holds by month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from finai_resources.months import Month

LOOK_BACK = 12
_FEWEST_TRAIN = 3
_MANY = 10  # snapshot months from which on validation and test have two months each
_DAYS_OFF = 4  # days at the end of a month on which nothing need happen
_SHORT = (
    "the first of these months look back over less than a year, so that check C17 may find that features drift: declare that "
    "under checks.drift.declared, or bring a year more"
)
_PARTIAL = 0.5  # of the median month's rows: an end month below it is taken as incomplete


@dataclass(frozen=True, slots=True)
class Months:
    """The spans of a data set, each first and last, and what the files do not tell."""

    raw: tuple[Month, Month]
    snapshots: tuple[Month, Month]
    train: tuple[Month, Month]
    validation: tuple[Month, Month]
    test: tuple[Month, Month]
    questions: tuple[str, ...] = ()


def plan_months(
    counts: Sequence[tuple[date, int]], *, last_day: date | None = None, gap_days: int, horizon: int = 1
) -> Months | None:
    """Return the spans for rows by month, or None where there are too few months for three splits.

    An incomplete month at either end is left out. Between the instant at which the last label of a split is known and the first
    cutoff of the next lie at least ``gap_days`` days.

    Parameters
    ----------
    counts
        First day of each month with its rows, ascending.
    last_day
        Of all rows, where they are dated by the day: a last month that it leaves incomplete is left out.
    """
    whole, questions = whole_months(counts, last_day)
    if len(whole) < horizon + 1:
        return None
    raw = whole[0], whole[-1]
    last = raw[1] - horizon
    test, validation, train = _splits(raw[0] + LOOK_BACK, last, gap_days, horizon)
    if _length(train) < _FEWEST_TRAIN:  # rather months whose look-back is not whole than too few of them
        test, validation, train = _splits(raw[0], last, gap_days, horizon)
        questions = (*questions, _SHORT)
    if (length := _length(train)) < 1:
        return None
    if length < _FEWEST_TRAIN:
        questions = (*questions, f"only {length} months are left for training: more months of data would help")
    return Months(raw, (train[0], last), train, validation, test, questions)


_Span = tuple[Month, Month]


def _splits(first: Month, last: Month, gap_days: int, horizon: int) -> tuple[_Span, _Span, _Span]:
    """Return the months of test, validation and train of some snapshot months; those of train may be none."""
    size = 2 if _length((first, last)) >= _MANY else 1
    test = last - (size - 1), last
    validation_last = last_before(test[0], gap_days, horizon)
    validation = validation_last - (size - 1), validation_last
    return test, validation, (first, last_before(validation[0], gap_days, horizon))


def _length(span: _Span) -> int:
    return span[1].ordinal - span[0].ordinal + 1


def last_before(following: Month, gap_days: int, horizon: int) -> Month:
    """Return the last month whose labels are known ``gap_days`` days before the cutoff of a month."""
    month = following - (horizon + 1)
    while (following.cutoff - (month + horizon).cutoff).days < gap_days:
        month -= 1
    return month


def whole_months(counts: Sequence[tuple[date, int]], last_day: date | None) -> tuple[list[Month], tuple[str, ...]]:
    """Return the longest run of months without a gap, without incomplete months at its ends; and what was left out."""
    if not counts:
        return [], ()
    usual = median(rows for _, rows in counts)
    runs: list[list[tuple[Month, int]]] = []
    for day, rows in counts:
        month = Month.of(day)
        if runs and month == runs[-1][-1][0] + 1:
            runs[-1].append((month, rows))
        else:
            runs.append([(month, rows)])
    run = max(runs, key=len)
    questions = []
    if len(runs) > 1:
        kept = f"{run[0][0]}..{run[-1][0]}"
        questions.append(
            f"the months have gaps: the longest run {kept} is taken, of {counts[0][0]:%Y-%m}..{counts[-1][0]:%Y-%m}"
        )
    for end, name in ((-1, "last"), (0, "first")):
        month, rows = run[end]
        if len(run) > 2 and rows < _PARTIAL * usual:
            why = f"has {rows:,} rows, a usual month {usual:,.0f}"
        elif end == -1 and last_day is not None and (month.cutoff.date() - last_day).days > _DAYS_OFF:
            why = f"ends on {last_day}"
        else:
            continue
        questions.append(f"{month} {why}: the {name} month is left out as incomplete")
        run.pop(end)
    return [month for month, _ in run], tuple(questions)
