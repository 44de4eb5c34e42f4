"""Persistent homology of the customer's weekly vectors (log spend, count, distinct MCC, night share)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import AMOUNT, MCC, TS
from finai_assets.features.registry import Column, Kind

if TYPE_CHECKING:
    from finai_assets.settings import Settings

_STATISTICS: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("count", "count", "1", "number of classes", "개수"),
    ("total", "continuous", "sd", "total persistence", "지속성 합"),
    ("mean", "continuous", "sd", "mean persistence", "평균 지속성"),
    ("std", "continuous", "sd", "standard deviation of persistence", "지속성 변동"),
    ("max", "continuous", "sd", "greatest persistence", "최대 지속성"),
    ("entropy", "continuous", "nat", "entropy of persistence", "지속성 엔트로피"),
    ("mean_birth", "continuous", "sd", "mean birth", "평균 생성 시점"),
    ("mean_death", "continuous", "sd", "mean death", "평균 소멸 시점"),
)


def columns(settings: Settings) -> tuple[Column, ...]:  # 52 weeks, whatever the settings
    """Return eight statistics of the diagrams in dimensions 0 and 1."""
    return tuple(
        Column(f"tda_global_h{dimension}_{name}", "tda_global", kind, unit,
               f"Weekly Rips persistence, H{dimension}: {text}", f"주간 거래 형태 H{dimension} {korean}",
               (TS, AMOUNT, MCC), 364, "train", "never missing", low=0)
        for dimension in (0, 1)
        for name, kind, unit, text, korean in _STATISTICS
    )  # fmt: skip
