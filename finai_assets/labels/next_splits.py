"""The next splits: those in use, moved on to the latest months whose labels are known, with the same gaps between them.

They are proposed and never taken: splits decide which rows models are fitted on, so that a person writes them down, as YAML.
"""

from __future__ import annotations

from finai_assets.asset_graph import Partitions
from finai_assets.ingest.tables.guess.months import last_before
from finai_assets.labels.splits import MINIMUM_GAP_DAYS, make_splits
from finai_assets.partitions import existing_months
from finai_assets.settings import MonthSpan, Settings, SplitSettings
from finai_resources.errors import ConfigError


def next_splits(settings: Settings) -> SplitSettings:
    """Return the next splits: test ends with the last month whose labels are known, validation and train as late as gaps allow.

    Test and validation have as many months as they have now, and train begins where it does, so that it grows.

    Raises
    ------
    ConfigError
        No month is left for train.
    """
    now = settings.dataset.splits
    gap, horizon = max(MINIMUM_GAP_DAYS, settings.gap_days), settings.horizon_months
    last = existing_months(Partitions.MATURE, settings)[-1]
    test = MonthSpan(first=last - (len(now.test) - 1), last=last)
    end = last_before(test.first, gap, horizon)
    validation = MonthSpan(first=end - (len(now.validation) - 1), last=end)
    end = last_before(validation.first, gap, horizon)
    if end < now.train.first:
        raise ConfigError(
            f"the labels are known to {last}, and with the gaps between the splits no month is left for train from "
            f"{now.train.first} on",
            where="dataset.splits",
            fix="wait for more months, or write fewer for validation and test",
        )
    proposed = SplitSettings(train=MonthSpan(first=now.train.first, last=end), validation=validation, test=test)
    make_splits(with_splits(settings, proposed))  # the rule that the splits in use have to keep
    return proposed


def with_splits(settings: Settings, splits: SplitSettings) -> Settings:
    """Return the settings with other splits."""
    return settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"splits": splits})})


def as_yaml(splits: SplitSettings) -> str:
    """Return splits as the data set's file has them, to be pasted into it."""
    spans = (
        f"    {name}: [{(span := getattr(splits, name)).first}, {span.last}]" for name in SplitSettings.model_fields
    )
    return "\n".join(("dataset:", "  splits:", *spans)) + "\n"
