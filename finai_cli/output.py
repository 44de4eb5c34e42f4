"""Output of a command for programs: one JSON document on standard output."""

from __future__ import annotations

import sys
from typing import Any

from finai_resources.json_text import plain, to_json


def print_json(value: Any) -> None:
    """Print a value as an indented JSON document; NaN and infinity are null."""
    sys.stdout.write(to_json(plain(value), indent=1).decode() + "\n")
