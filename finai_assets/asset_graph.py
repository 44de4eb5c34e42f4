"""What the rooms' doors share: asset keys from paths, code and config versions, and results with the manifest's facts.

A :class:`Step` is the one declaration of an asset from which its Dagster spec, its manifest and the question "is it
current?" derive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finai_assets.settings import Settings
from finai_assets.source import code_version
from finai_resources.lake import Lake
from finai_resources.lake_session import is_current
from finai_resources.manifest import Manifest


@dataclass(frozen=True)
class Step:
    """How the assets of one computation are versioned.

    Parameters
    ----------
    rooms : tuple of str
        Packages whose source makes the code version.
    sections : tuple of str
        Settings that the result depends on, apart from its upstream assets.
    without : tuple of str
        Packages within the rooms that it does not run.
    """

    rooms: tuple[str, ...]
    sections: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def code_version(self) -> str:
        """Return the hash of the source."""
        return code_version(*self.rooms, without=self.without)

    def config_hash(self, settings: Settings) -> str:
        """Return the hash of the settings that matter."""
        return settings.digest(*self.sections)

    def is_current(self, lake: Lake, settings: Settings, asset: str, partition: str | None = None) -> bool:
        """Tell whether the stored partition was made by this code and config from what its upstream holds now."""
        return is_current(
            lake, asset, partition, code_version=self.code_version, config_hash=self.config_hash(settings)
        )


CATALOGUE = ("dataset", "families", "products")
SOURCE = Step(
    ("ingest/synthetic", "ingest/pseudonym"), ("seed", *CATALOGUE, "generator", "acquisition_sets", "horizon_months")
)
RAW = Step(("ingest",), CATALOGUE)
FEATURE_STATE = Step(
    ("features",), ("seed", "look_back_months", "fit", "statistics", "feature_groups", "dataset", "products")
)
FEATURES = Step(("features",), ("look_back_months", "statistics", "feature_groups", "dataset", "products"))
LABELS = Step(("labels",), ("horizon_months", "dataset", "families", "products", "acquisition_sets"))
SPLITS = Step(("labels",), ("gap_days", "horizon_months", "dataset"))
MATRIX = Step(("features", "labels", "training"), ("seed", "teacher", "dataset", "feature_groups"))
TEACHER = Step(("teacher", "scoring"), ("seed", "teacher", "inputs", "dataset"))
EVALUATION = Step(("evaluation", "scoring"), ("seed", "teacher", "baselines", "inputs", "metrics", "dataset"))
EXPLANATIONS = Step(("evaluation", "scoring"), ("seed", "teacher", "explanations", "metrics", "dataset"))
STUDENTS = Step(("students", "scoring"), ("seed", "students", "inputs", "metrics"))
BUNDLE = Step(
    ("bundle", "../serving_lambda", "../configs"), ("seed", "bundle", "recommend", "acquisition_sets", *CATALOGUE)
)
RECOMMENDATIONS = Step(("recommend", "../serving_lambda"), ("recommend",))


def facts(manifest: Manifest) -> dict[str, Any]:
    """Return what a materialisation tells of any stored partition."""
    return {
        "dagster/row_count": manifest.rows,
        "bytes": manifest.bytes,
        "content_hash": manifest.content_hash[:16],
        "upstream_partitions": len(manifest.upstream),
    }


def flat(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the named values that exist, as plain floats, ints, or strings."""
    return {name: values[name] for name in names if values.get(name) is not None}
