"""Section of the settings about promotion: who may propose and approve, and which checks a champion must have passed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share

Role = Literal["author", "approver"]
PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of Ed25519, as `finai keys new` prints it


class PersonSettings(Section):
    """A person who may sign: the public half of the key, and what the person may do."""

    # public half of the person's Ed25519 key in 64 hexadecimal digits, as `finai keys new NAME` prints it
    key: PublicKey
    roles: tuple[Role, ...]  # what the person may do: an author proposes, an approver approves


class ShiftSettings(Section):
    """From which figures on the difference of two bundles' outputs is worth a word; it refuses nothing."""

    # population stability index of a task's output between champion and challenger; a greater one is told
    psi: PositiveNumber
    jsd: Share  # Jensen-Shannon divergence of the output in bits, from 0 (the same) to 1 (apart); a greater one is told
    rank_correlation: Share  # correlation of the order in which both put the customers; a smaller one is told
    # distance of the means in standard deviations of the champion's output; a greater one is told
    mean_shift: PositiveNumber


class PromotionSettings(Section):
    """How a challenger becomes champion."""

    # name -> who may sign; where nobody is named, nothing can be proposed or approved
    people: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], PersonSettings]
    # numbers of checks, or names of kinds of checks, that must have passed; one that does not exist yet is awaited
    mandatory: tuple[str, ...]
    # days after which the evidence of a check is too old for a promotion, so that the check must run again
    max_evidence_age_days: Positive
    auto_promote: bool  # true: the last missing signature promotes at once; false: `finai promote` is run after it
    shift: ShiftSettings  # how far two bundles' outputs may differ before the verdict tells it; it refuses nothing
