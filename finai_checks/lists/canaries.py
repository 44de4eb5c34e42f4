"""C44, the lists that prove it: measured as ours are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from finai_assets.evaluation.lists.comparison import compare_lists
from finai_assets.evaluation.lists.metrics import rank_products, scores_of_lists
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.evaluation.lists.rivals import ALS, EASE, ITEM_KNN, POPULARITY, PRODUCT_TREES, RIVALS
from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.lists.checks import NOT_BELOW_RIVALS
from finai_checks.lists.verdicts import not_below_rivals
from finai_resources.json_text import plain

_ROWS, _PRODUCTS, _K = 1500, 8, 3


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return lists that the check must let pass or reject."""
    rng = np.random.default_rng(settings.seed)
    taste = rng.normal(0.0, 1.5, (_ROWS, _PRODUCTS))  # what a customer likes, which a good list knows
    base = np.linspace(1.0, -1.0, _PRODUCTS)  # what all like
    held = rng.random((_ROWS, _PRODUCTS)) < 0.2
    held[:, 0] = False
    utility = np.where(held, -np.inf, taste + base + rng.gumbel(size=(_ROWS, _PRODUCTS)))
    acquired = np.arange(_PRODUCTS) == utility.argmax(axis=1)[:, None]
    outcomes = Outcomes(np.arange(_ROWS) // 2, held, acquired & ~held)
    popular = np.repeat(base[None, :], _ROWS, axis=0)
    rivals = {
        POPULARITY: popular,
        ITEM_KNN: popular,
        ALS: popular,
        EASE: 0.5 * taste + base,
        PRODUCT_TREES: taste + base,
    }
    ours = 0.8 * taste + base

    def canary(label: str, expects: str | None, ranked: np.ndarray, served: np.ndarray | None = None) -> Canary:
        return Canary(
            NOT_BELOW_RIVALS,
            label,
            expects,
            lambda: not_below_rivals(
                _measured(ranked, ranked if served is None else served, rivals, outcomes, settings)
            ),
        )

    return [
        canary("a list that knows customers", None, ours),
        canary("the best simple rival's own list", None, rivals[EASE]),
        canary("popularity's order", "as ranked it is below ease", popular),
        canary("shuffled products", "as ranked it is below popularity", rng.permuted(ours, axis=1)),
        canary("the list of another customer", "as ranked it is below ease", np.roll(ours, 2, axis=0)),
        canary("a good ranking that is served in reverse", "as served it is below", ours, -ours),
        Canary(NOT_BELOW_RIVALS, "no evaluation", NO_EVIDENCE, lambda: not_below_rivals(None)),
        Canary(
            NOT_BELOW_RIVALS,
            "months in which nobody acquires anything",
            NO_EVIDENCE,
            lambda: not_below_rivals(
                _measured(ours, ours, rivals, Outcomes(outcomes.customer, held, np.zeros_like(held)), settings)
            ),
        ),
    ]


def _measured(
    ranked: np.ndarray, served: np.ndarray, rivals: dict[str, np.ndarray], outcomes: Outcomes, settings: Settings
) -> dict[str, Any]:
    def cut(score: np.ndarray) -> np.ndarray:
        return scores_of_lists(rank_products(score, outcomes.held)[:, :_K], _PRODUCTS)

    scores = {
        "ours": ranked,
        "served": cut(served),
        **rivals,
        **{f"{name}@": cut(score) for name, score in rivals.items()},
    }
    counts = np.ones(_PRODUCTS, np.int64)
    compared = compare_lists(scores, outcomes, counts, settings.metrics, seed=settings.seed)
    return dict(
        plain(
            {
                "bundle_id": "canary",
                "acquiring": compared.acquiring,
                "layers": {},
                "rivals": {name: {"simple": RIVALS[name].simple} for name in rivals},
                "ours_over": {name: asdict(compared.difference("ours", name)) for name in rivals},
                "served_over": {name: asdict(compared.difference("served", f"{name}@")) for name in rivals},
            }
        )
    )


def lake_canaries() -> list[LakeCanary]:
    """Return nothing: a list needs a bundle of all students, which the small lake does not have."""
    return []
