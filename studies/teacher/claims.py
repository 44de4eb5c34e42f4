"""Published claims about the mechanisms that the ablation varies, each with its source.

A claim is about other data and other models, so it can be compared in direction, and in size only where it is stated in a metric
that is measured here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Claim:
    """A published statement.

    Parameters
    ----------
    direction : {-1, 0, 1}
        The variant is worse than the reference, no different, or better.
    says, source : str
    changes : mapping
        Those of the variant that it speaks of (see :class:`studies.teacher.variants.Variant`).
    auc : float or None
        The stated difference in mean AUC, where there is one.
    """

    direction: int
    says: str
    source: str
    changes: Mapping[str, Any]
    auc: float | None = None


_PRECURSOR = "https://bluethestyle.github.io/2026/05/12/ep8-honest-negatives-en/"
_PRECURSOR_GATES = "https://bluethestyle.github.io/2026/05/05/ep6-uncertainty-weighting-bug-en/"
_SIGMOID, _SOFTMAX = {"mechanisms.gate": "sigmoid"}, {"mechanisms.gate": "softmax"}
_LOSS, _SP = {"mechanisms.task_transfer": "adatt_loss"}, {"mechanisms.task_transfer": "adatt_sp"}
_PCGRAD = {"mechanisms.gradient_surgery": "pcgrad"}
_FIXED, _LEARNED = {"mechanisms.uncertainty_weighting": False}, {"mechanisms.uncertainty_weighting": True}

_KENDALL = "Kendall, Gal and Cipolla, CVPR 2018"
_KENDALL_SAYS = "with learned uncertainty weights one model does better than a model for each task (on images)"
_NGUYEN = "Nguyen, Ho and Rinaldo, NeurIPS 2024"
_NGUYEN_SAYS = "sigmoid gates need fewer samples than softmax gates for the same error of expert estimation (in theory)"

CLAIMS: tuple[Claim, ...] = (
    Claim(1, _NGUYEN_SAYS, _NGUYEN, _SIGMOID),
    Claim(-1, _NGUYEN_SAYS, _NGUYEN, _SOFTMAX),
    Claim(
        -1,
        "softmax gates are ahead on NDCG for seven experts and 13 tasks; sigmoid gates had been while the weights between losses "
        "had a wrong sign",
        _PRECURSOR_GATES,
        _SIGMOID,
    ),
    Claim(
        0,
        "transfer between 13 tasks by the agreement of their gradients changes AUC by -0.001, within the noise of one seed; an "
        "earlier -0.019 was due to the wrong sign",
        _PRECURSOR,
        _LOSS,
        auc=-0.001,
    ),
    Claim(
        1,
        "fusing the experts of tasks directly does significantly better than the state of the art (on recommendations)",
        "Li, Zhang, Yuan and others, AdaTT, KDD 2023",
        _SP,
    ),
    Claim(
        1,
        "projecting conflicting gradients gives substantial gains in efficiency and performance",
        "Yu, Kumar, Gupta, Levine, Hausman and Finn, NeurIPS 2020",
        _PCGRAD,
    ),
    Claim(
        0,
        "optimisers made for many tasks give nothing beyond what traditional optimisation gives (on language and images)",
        "Xin, Ghorbani, Gilmer, Garg and Firat, NeurIPS 2022",
        _PCGRAD,
    ),
    Claim(
        0, "projecting the gradients of 13 tasks changes AUC within the noise, at twice the time", _PRECURSOR, _PCGRAD
    ),
    Claim(-1, _KENDALL_SAYS, _KENDALL, _FIXED),
    Claim(1, _KENDALL_SAYS, _KENDALL, _LEARNED),
    Claim(
        -1,
        "progressive routing through several levels improves what tasks learn together (on recommendations)",
        "Tang, Liu, Zhao and Gong, PLE, RecSys 2020",
        {"layers": 1},
    ),
)


def claims_of(changes: Mapping[str, Any]) -> list[Claim]:
    """Return the published claims about a variant with these changes."""
    return [claim for claim in CLAIMS if dict(changes) == dict(claim.changes)]
