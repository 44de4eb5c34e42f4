"""Settings of the tasks' definitions: the figures that labels, and the truth that the generator stores, are computed with."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from finai_assets.settings.base import Positive, Section


def _at_most_one(share: tuple[int, int]) -> tuple[int, int]:
    if share[0] > share[1]:
        raise ValueError(f"write a share of at most 1 as [part, whole], not {share[0]}/{share[1]}")
    return share


class ChurnSignalSettings(Section):
    """When a customer counts as leaving: fewer products than a share of the mean number held in the last months.

    The share is a pair of whole numbers (``[7, 10]``) and compared in whole numbers, so that exactly 7/10 is no churn on any
    machine. Months in which the customer has no snapshot do not count.
    """

    # [part, whole]: who will hold fewer products than part/whole of the mean number counts as leaving; a greater share calls
    # more customers leaving
    share: Annotated[tuple[Positive, Positive], AfterValidator(_at_most_one)]
    # last months, the snapshot month included, over which the mean number of products is taken
    history_months: Positive


class NextMccSettings(Section):
    """How many merchant categories are classes: the most frequent ones of the train labels; all others are one class."""

    # merchant categories that are a class each, the most frequent ones of the train labels; more are a harder task
    top: Positive


class TaskSettings(Section):
    """Figures in the definitions of tasks, by task."""

    churn_signal: ChurnSignalSettings
    next_mcc: NextMccSettings
