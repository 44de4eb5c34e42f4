"""The section of the settings about the teacher's ablations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finai_assets.settings.base import Positive, Section


class AblationSettings(Section):
    """How often variants of the teacher are trained, and how their differences are judged."""

    # runs of each variant, each with a seed of its own; more find smaller differences and take longer
    seeds: Annotated[int, Field(ge=1, le=100)]
    resamples: Positive  # resamples of the test customers behind an interval, the same for every run
    # CPU threads of each run: one each, so that workers do not wait for each other; figures depend on their number
    threads: Positive
    workers: Positive  # processes that run side by side; figures do not depend on their number
    # probability of finding a difference for which the least difference that could be found is reported
    power: Annotated[float, Field(gt=0.5, lt=1)]
