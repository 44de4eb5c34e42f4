"""The section of the settings about the teacher's ablations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finai_assets.settings.base import Positive, Section


class AblationSettings(Section):
    """How often variants of the teacher are trained, and how their differences are judged."""

    seeds: Annotated[int, Field(ge=1, le=100)]  # runs of each variant
    resamples: Positive  # of the test customers, the same for every run
    threads: Positive  # of each run: one each, so that workers do not wait for each other; figures depend on it
    workers: Positive  # processes that run side by side; figures do not depend on their number
    power: Annotated[float, Field(gt=0.5, lt=1)]  # at which the minimum detectable difference is reported
