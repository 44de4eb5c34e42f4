"""``make ui``: the Dagster UI on the home of one data set, with its daemon."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from finai_resources.event_log import BATCH_SIZE, BATCH_VARIABLE
from finai_resources.home import Home

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Prepare the home and start ``dagster dev`` in this process."""
    home = Home.choose(os.environ.get("FINAI_DATASET", "synthetic"), os.environ.get("FINAI_PROFILE", "demo"))
    home.prepare()
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    os.environ["FINAI_HOME"] = str(home.root)
    os.environ.setdefault(BATCH_VARIABLE, str(BATCH_SIZE))
    dagster = str(Path(sys.executable).with_name("dagster"))
    os.execv(dagster, [dagster, "dev", "-w", str(ROOT / "workspace.yaml"), *sys.argv[1:]])  # noqa: S606 - no shell, own arguments


if __name__ == "__main__":
    main()
