"""A clock that is set wrong in this process: the present time of our modules, and ``time.time`` for all."""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import Any


class _Any(type):
    """Takes every time for one of its own, as a module asks that was given another class."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, dt.datetime)


def skew(seconds: float) -> None:
    """Let every module of the product that was imported see another present time; nothing is put back."""
    real = time.time

    class Skewed(dt.datetime, metaclass=_Any):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.fromtimestamp(real() + seconds, tz)

    time.time = lambda: real() + seconds
    for name, module in list(sys.modules.items()):
        if name.startswith("finai_") and getattr(module, "datetime", None) is dt.datetime:
            vars(module)["datetime"] = Skewed
