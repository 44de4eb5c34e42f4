"""C45, the verdict on windows: a label is made from the months of its window, and these have fully passed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS
from finai_assets.labels.task import Task
from finai_assets.settings import Settings
from finai_resources.months import Month


def is_immature(month: Month, settings: Settings) -> str:
    """Return why a month may have no label yet; empty where its window has fully passed."""
    end, last = month + settings.horizon_months, settings.dataset.raw_months.last
    if end <= last:
        return ""
    return f"immature: the label window ends at {end.cutoff:%Y-%m-%d}, and raw months end with {last}"


def window_faults(
    task: Task, horizon: int, stated: Mapping[str, Sequence[int]], upstream: Collection[str], expected: Collection[str]
) -> list[str]:
    """Return what is wrong with the window of a stored label.

    Parameters
    ----------
    horizon
        In months.
    stated
        The months of each raw table that the independent statement reads, counted from the snapshot month.
    upstream
        Addresses of the partitions that the stored label records it was made from.
    expected
        Addresses that the statement reads.
    """
    faults = []
    for table in (SNAPSHOTS, TRANSACTIONS):
        declared = task.window.months(table, horizon)
        if tuple(declared) != tuple(stated[table]):
            faults.append(
                f"the row declares the months {list(declared)} of {table}, and the definition reads {list(stated[table])}"
            )
    if outside := sorted(set(upstream) - set(expected)):
        faults.append(f"the label was made from {', '.join(outside[:4])}, outside its window")
    if absent := sorted(set(expected) - set(upstream)):
        faults.append(f"the label does not record that it was made from {', '.join(absent[:4])}")
    return faults
