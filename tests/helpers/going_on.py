"""A bank of Berka's form whose months go on: spans without an end, and deliveries of one month more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The shortest splits that the gap rule allows: the labels of 1993-05 end with 1993-06.
SPANS: dict[str, Any] = {
    "raw_months": ["1993-01", None],
    "snapshot_months": ["1993-01", None],
    "splits": {
        "train": ["1993-01", "1993-01"],
        "validation": ["1993-03", "1993-03"],
        "test": ["1993-05", "1993-05"],
    },
}
DAYS = (1, 4, 7, 10, 13, 16, 19, 22, 25, 28)


def deliver(folder: Path, *months: str, days: Sequence[int] = DAYS) -> Path:
    """Append a payment of account 1 on some days of each month; return the folder."""
    with (folder / "trans.asc").open("a", encoding="utf-8") as file:
        for month in months:
            year, number = month[2:4], month[5:]
            for day in days:
                file.write(f'{year}{number}{day:02d};1;{year}{number}{day:02d};"VYBER";"VYBER";5;0;"";"";\n')
    return folder
