"""Distances to cluster centres, acquisition posteriors, and a liquid reservoir over transaction gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import AGE, AMOUNT, HELD, INCOME, MCC, MERCHANT, TENURE, TS, look_back_days
from finai_assets.features.registry import Column

if TYPE_CHECKING:
    from finai_assets.settings import Settings

CENTRES = 5
UNITS = 18
# The four classes whose acquisition is modelled by a Beta posterior within the customer's cluster.
PRODUCT_CLASSES = (("deposit", "예금"), ("loan", "대출"), ("investment", "투자"), ("card", "카드"))


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return distances, posterior means, and the reservoir's last state."""
    days = look_back_days(settings)
    inputs = (AGE, INCOME, TENURE, HELD, TS, AMOUNT, MCC, MERCHANT)
    distances = tuple(
        Column(f"kmeans_distance_{k}", "model_derived", "continuous", "sd", f"Distance to k-means centre {k}",
               f"대표 고객 {k}와의 거리", inputs, days, "train", "never missing", low=0)
        for k in range(CENTRES)
    )  # fmt: skip
    posteriors = tuple(
        Column(f"acquisition_posterior_{name}", "model_derived", "share", "1",
               f"Beta posterior mean of a monthly {name} acquisition in the customer's cluster",
               f"유사 고객 {korean} 가입률", inputs, days, "train", "never missing", low=0, high=1)
        for name, korean in PRODUCT_CLASSES
    )  # fmt: skip
    reservoir = tuple(
        Column(f"liquid_{k:02d}", "model_derived", "continuous", "1", f"Unit {k} of the liquid reservoir at the cutoff",
               f"거래 간격 특성 {k}", (TS, AMOUNT), days, "train", "never missing", low=-1, high=1)
        for k in range(UNITS)
    )  # fmt: skip
    return distances + posteriors + reservoir
