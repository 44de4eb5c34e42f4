"""Hidden Markov models of monthly sequences: journey, life cycle and behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import AMOUNT, MCC, MERCHANT, TS, look_back_days
from finai_assets.features.registry import Column

if TYPE_CHECKING:
    from finai_assets.settings import Settings

MODELS = (("journey", 5, "거래 여정"), ("lifecycle", 5, "생애 주기"), ("behavior", 6, "이용 행태"))


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the filtered posteriors of the last month, then state, dwell and entropy of each model."""
    days = look_back_days(settings)
    inputs = (TS, AMOUNT, MCC, MERCHANT)
    posteriors = tuple(
        Column(f"hmm_{name}_p{state}", "hmm_states", "share", "1",
               f"Filtered posterior of state {state} of the {name} model in the last month", f"{korean} {state}번 상태 확률",
               inputs, days, "train", "never missing", low=0, high=1)
        for name, states, korean in MODELS
        for state in range(states)
    )  # fmt: skip
    summaries = tuple(
        column
        for name, states, korean in MODELS
        for column in (
            Column(f"hmm_{name}_state", "hmm_states", "code", "1", f"Most likely state of the {name} model",
                   f"{korean} 현재 상태", inputs, days, "train", "never missing", low=0, high=states - 1),
            Column(f"hmm_{name}_dwell", "hmm_states", "continuous", "months", f"Expected dwell in the {name} state",
                   f"{korean} 예상 유지 기간", inputs, days, "train", "never missing", low=1),
            Column(f"hmm_{name}_entropy", "hmm_states", "continuous", "nat", f"Transition entropy of the {name} state",
                   f"{korean} 전이 불확실성", inputs, days, "train", "never missing", low=0),
        )
    )  # fmt: skip
    return posteriors + summaries
