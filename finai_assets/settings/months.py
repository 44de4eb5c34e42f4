"""Where spans of months end that are written without a last month: the one place that gives them one.

The source decides (:mod:`finai_assets.ingest.last_month`). Until it is asked, the months reach as far as the splits need, since
whatever reads the settings for columns, tasks and splits needs no month after these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_resources.months import Month

if TYPE_CHECKING:
    from finai_assets.settings.load import Settings


def needed_month(settings: Settings) -> Month:
    """Return the raw month that the last label of the splits ends with."""
    return settings.dataset.splits.test.last + settings.horizon_months


def ending(settings: Settings, last: Month) -> Settings:
    """Return the settings with raw months that go on ending in a month, and snapshot months that go on ending with the raw ones.

    Snapshots of the last months have features and are scored; their labels wait until the window has passed.
    """
    dataset = settings.dataset
    raw, snapshots = dataset.raw_months, dataset.snapshot_months
    if raw.goes_on:
        raw = raw.model_copy(update={"last": last})
    if snapshots.goes_on:
        snapshots = snapshots.model_copy(update={"last": raw.last})
    if (raw, snapshots) == (dataset.raw_months, dataset.snapshot_months):
        return settings
    spans = {"raw_months": raw, "snapshot_months": snapshots}
    return settings.model_copy(update={"dataset": dataset.model_copy(update=spans)})
