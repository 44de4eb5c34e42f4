"""The folder of one installation: lake, Dagster instance, exported bundles, keys, and the summary of the last run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from finai_resources.whole_file import replace_file


@dataclass(frozen=True, slots=True)
class Home:
    """The home of one data set in one profile.

    Parameters
    ----------
    root : Path
        ``FINAI_HOME``, or ``.finai/<dataset>-<profile>`` below the working directory.
    lake_root : str
        ``FINAI_LAKE`` (a folder or ``s3://bucket/prefix``), or ``<root>/lake``.
    """

    root: Path
    lake_root: str

    @classmethod
    def at(cls, root: Path) -> Home:
        """Return the home in a folder, its lake moved elsewhere by ``FINAI_LAKE``."""
        resolved = root.expanduser().resolve()
        return cls(resolved, os.environ.get("FINAI_LAKE") or str(resolved / "lake"))

    @classmethod
    def choose(cls, dataset: str, profile: str, home: Path | None = None) -> Home:
        """Return the home named on the command line, in ``FINAI_HOME``, or by default."""
        named = home or (Path(os.environ["FINAI_HOME"]) if os.environ.get("FINAI_HOME") else None)
        return cls.at(named or Path(".finai") / f"{dataset}-{profile}")

    @property
    def dagster(self) -> Path:
        """Return ``DAGSTER_HOME``."""
        return self.root / "dagster"

    @property
    def bundles(self) -> Path:
        """Return the folder of exported bundles."""
        return self.root / "bundles"

    @property
    def cache(self) -> Path:
        """Return the folder of what can be computed again: digests of the source's files and rows."""
        return self.root / "cache"

    @property
    def summary(self) -> Path:
        """Return the file with the summary of the last run."""
        return self.root / "summary.json"

    @property
    def warehouse(self) -> Path:
        """Return the DuckDB file of views over the lake."""
        return self.root / "finai.duckdb"

    @property
    def is_filled(self) -> bool:
        """Whether there is a lake, which the first run makes; whether one in S3 is there shows when it is read."""
        return self.lake_root.startswith("s3://") or Path(self.lake_root).is_dir()

    def prepare(self) -> None:
        """Create the folders, and ``dagster.yaml`` where there is none, or one that an earlier version wrote unchanged."""
        self.dagster.mkdir(parents=True, exist_ok=True)
        config = self.dagster / "dagster.yaml"
        if not config.exists() or _is_earlier(yaml.safe_load(config.read_text(encoding="utf-8"))):
            replace_file(config, yaml.safe_dump(INSTANCE, sort_keys=False).encode())


_EVENT_LOG = {"module": "finai_resources.event_log", "class": "BatchedSqliteEventLogStorage"}
# What versions before the run limit wrote, to the letter; a file that differs from it somebody has edited.
_WITHOUT_LIMITS: dict[str, Any] = {
    "event_log_storage": {**_EVENT_LOG, "config": {"home": {"env": "DAGSTER_HOME"}}},
    "telemetry": {"enabled": False},
}
# The embedded Dagster instance: SQLite below DAGSTER_HOME, with asset events of a batch stored in one transaction. It names no
# folder, so that a home which was copied or moved writes into itself.
INSTANCE: dict[str, Any] = {
    **_WITHOUT_LIMITS,
    "nux": {"enabled": False},  # no question for an e-mail address on the first page
    "concurrency": {
        # Two runs of up to 1 GiB each beside the UI. A feature month uses every worker (`lake.workers`): one at a time.
        "runs": {"max_concurrent_runs": 2},
        # By run and not by op: the queue counts runs, so that a killed process leaves no claimed slot behind it.
        "pools": {"default_limit": 1, "granularity": "run"},
    },
}


def _is_earlier(config: object) -> bool:
    """Return whether an earlier version wrote a configuration and nobody has changed it since."""
    return config == _WITHOUT_LIMITS or _names_folders(config)


def _names_folders(config: object) -> bool:
    """Return whether a configuration is one that earlier versions wrote, which a copied home shares with its original."""
    log = config.get("event_log_storage") if isinstance(config, dict) else None
    return isinstance(log, dict) and {**_EVENT_LOG, **log} == log and "base_dir" in (log.get("config") or {})
