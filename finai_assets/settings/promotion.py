"""Section of the settings about promotion: who may propose and approve, and which checks a champion must have passed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share

Role = Literal["author", "approver"]
PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of Ed25519, as `finai keys new` prints it


class PersonSettings(Section):
    """A person who may sign: the public half of the key, and what the person may do."""

    key: PublicKey
    roles: tuple[Role, ...]


class ShiftSettings(Section):
    """From which figures on the difference of two bundles' outputs is worth a word; it refuses nothing."""

    psi: PositiveNumber
    jsd: Share
    rank_correlation: Share
    mean_shift: PositiveNumber  # in standard deviations of the champion's output


class PromotionSettings(Section):
    """How a challenger becomes champion."""

    people: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], PersonSettings]
    mandatory: tuple[str, ...]  # numbers of checks, or names of kinds; one that does not exist yet is awaited
    max_evidence_age_days: Positive
    auto_promote: bool
    shift: ShiftSettings
