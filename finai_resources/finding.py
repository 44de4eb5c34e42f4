"""What an examination says about one subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one subject, such as the memory, and the way out where it is wrong."""

    verdict: Literal["ok", "note", "wrong"]
    subject: str
    found: str
    fix: str = ""
