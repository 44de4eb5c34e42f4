"""The three config layers, merged and validated into one frozen object.

Layers, each overriding the one before: ``pipeline.yaml`` (method), ``feature_groups.yaml`` (columns),
``datasets/<name>.yaml`` (data, products, tasks), then the chosen profile of the first and the third, and what
``noise_ceilings/<dataset>-<profile>.yaml`` has measured between teachers of other seeds, where it is there. Nothing else in the
code knows a data set's name, a column's name, or a threshold.
"""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from finai_assets.settings.ablation import AblationSettings
from finai_assets.settings.automation import AutomationSettings
from finai_assets.settings.base import Positive, Section
from finai_assets.settings.choice import ChoiceSettings
from finai_assets.settings.dataset import DatasetSettings, MerchantCategory, Product
from finai_assets.settings.explanation import ExplanationSettings
from finai_assets.settings.features import FeatureGroupSettings
from finai_assets.settings.folders import CONFIG_FOLDER, DATASETS, config_folders, lay_over, read_yaml
from finai_assets.settings.generator import GeneratorSettings
from finai_assets.settings.lacks import complete
from finai_assets.settings.lists import ListSettings
from finai_assets.settings.method import (
    BaselineSettings,
    BundleSettings,
    CheckSettings,
    FitSettings,
    InputSettings,
    LakeSettings,
    MetricSettings,
    StatisticsSettings,
    StudentSettings,
    TeacherSettings,
)
from finai_assets.settings.months import ending, needed_month
from finai_assets.settings.offering import OfferingSettings
from finai_assets.settings.promotion import PromotionSettings
from finai_assets.settings.recommend import RecommendSettings
from finai_assets.settings.schema_changes import SchemaChangeSettings
from finai_assets.settings.tables import TablesSettings, require_agreement
from finai_assets.settings.tasks import TaskSettings
from finai_resources.errors import ConfigError


class Settings(Section):
    """Everything that can be chosen, for one data set and one profile."""

    # which of the profiles holds, as `--profile` names it: the shipped files have smoke, demo, bench and full; it is not
    # written in a file
    profile: str
    # where every random draw begins: the same seed, settings and rows give the same figures, and another seed shows how far
    # they depend on chance
    seed: Annotated[int, Field(ge=0)]
    look_back_months: Positive  # months of events and snapshots that a feature may read, the snapshot month included
    # months of the label window, which begins at the cutoff: the first instant after the snapshot month
    horizon_months: Positive
    gap_days: Annotated[int, Field(ge=7)]
    tasks: TaskSettings
    lake: LakeSettings
    fit: FitSettings
    inputs: InputSettings
    statistics: StatisticsSettings
    teacher: TeacherSettings
    ablation: AblationSettings
    explanations: ExplanationSettings
    baselines: BaselineSettings  # what the teacher is compared with, trained on the same rows (teacher.max_train_rows)
    students: StudentSettings
    metrics: MetricSettings
    bundle: BundleSettings
    promotion: PromotionSettings  # how a challenger becomes champion (docs/promotion.md)
    recommend: RecommendSettings
    offering: OfferingSettings
    choice: ChoiceSettings
    lists: ListSettings
    checks: CheckSettings
    schema_changes: SchemaChangeSettings
    automation: AutomationSettings
    feature_groups: FeatureGroupSettings
    dataset: DatasetSettings
    # families of products, in order: each is a class of the task nba_primary, and every product belongs to one
    families: tuple[str, ...]
    # the catalogue; a product's id is its position in the list, so that new products go to its end
    products: tuple[Product, ...]
    # name of a set -> codes of its products; the task `will_acquire_NAME` asks whether the customer acquires one of them
    acquisition_sets: dict[str, tuple[str, ...]]
    # leaves of the tree of merchant categories; empty where own tables list them (`tables.categories`) or there are none
    merchant_categories: tuple[MerchantCategory, ...] = ()
    generator: GeneratorSettings | None = None  # the synthetic panel and its size; null for a data set that reads rows
    # how a bank's own tables are read; there exactly where `dataset.adapter` is `tables`, else null
    tables: TablesSettings | None = None

    @model_validator(mode="after")
    def _catalogue_agrees(self) -> Settings:
        codes = [product.code for product in self.products]
        if len(set(codes)) != len(codes):
            raise ValueError("products: a code occurs twice")
        for product in self.products:
            if product.family not in self.families:
                raise ValueError(
                    f"products: {product.code} has family {product.family!r}, not one of {list(self.families)}"
                )
        for key in ("never_held", "never_acquired"):
            if idle := [pattern for pattern in getattr(self.dataset, key) if not fnmatch.filter(codes, pattern)]:
                raise ValueError(f"dataset.{key}: no product has a code like {idle}")
        for name, members in self.acquisition_sets.items():
            if unknown := set(members) - set(codes):
                raise ValueError(f"acquisition_sets.{name}: unknown products {sorted(unknown)}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_policy_of_unknown_categories(cls, value: Any) -> Any:
        """Take ``dataset.unknown_mcc`` from the categories of own tables, which say it too."""
        if isinstance(value, dict) and isinstance(tables := value.get("tables"), dict):
            categories, dataset = tables.get("categories") or {}, value.get("dataset")
            if isinstance(dataset, dict) and isinstance(categories, dict):
                policy = {"unknown_mcc": categories.get("unknown", "error")}
                return {**value, "dataset": policy | dataset}
        return value

    @model_validator(mode="after")
    def _tables_agree(self) -> Settings:
        require_agreement(self.tables, self.dataset, [product.code for product in self.products])
        return self

    @model_validator(mode="after")
    def _terms_agree(self) -> Settings:
        if (
            self.generator is not None
            and len(self.generator.process.offers.band_bounds) != len(self.dataset.asset_bands) - 1
        ):
            raise ValueError(
                "generator.process.offers.band_bounds needs one bound fewer than there are dataset.asset_bands"
            )
        process = {} if self.generator is None else self.generator.process.products
        for product in self.products:
            term, period = process[product.code].term if product.code in process else None, product.terms.period_months
            if term is not None and term != period:
                raise ValueError(
                    f"products: {product.code} has terms.period_months {period}, but the generator lets it mature after "
                    f"{term} months (generator.process.products.{product.code}.term): give both the same number"
                )
        return self

    @cached_property
    def product_ids(self) -> dict[str, int]:
        """Map a product's code to its dense id."""
        return {product.code: index for index, product in enumerate(self.products)}

    def digest(self, *sections: str) -> str:
        """Return a short hash of the named sections, for manifests; where none is named, of all that values depend on."""
        dumped = self.model_dump(mode="json", include=set(sections) or None, exclude=None if sections else {"lake"})
        return hashlib.sha256(json.dumps(dumped, sort_keys=True, default=str).encode()).hexdigest()[:16]


def available_datasets(folder: Path = CONFIG_FOLDER) -> list[str]:
    """Return the names of the data sets that have a file, in the shipped folder or in the outer one."""
    return config_folders(folder).datasets()


def load_settings(
    dataset: str = "synthetic",
    profile: str = "demo",
    *,
    folder: Path = CONFIG_FOLDER,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read, merge and validate the three layers.

    Parameters
    ----------
    dataset, profile
        Which ``datasets/<dataset>.yaml`` and which of the profiles.
    folder
        The shipped folder of the three layers; what the outer folder of ``FINAI_CONFIG`` holds is laid over each of them.
    overrides
        A last layer, for tests and the command line.

    Raises
    ------
    ConfigError
        One error that names the file, the path, what was found and what is allowed.
    """
    folders = config_folders(folder)
    if dataset not in (known := folders.datasets()):
        near = difflib.get_close_matches(dataset, known, n=2)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"there is no data set {dataset!r}",
            where=", ".join(str(each / DATASETS) for each in folders.all),
            fix=f"{meant}choose one of {', '.join(known)}, or make one with `finai init NAME FILE...`",
        )
    files = ("pipeline.yaml", "feature_groups.yaml", f"{DATASETS}/{dataset}.yaml")
    layers = [layer for name in files for layer in folders.layers(name)]
    profiles = [(path, layer.pop("profiles", {}) or {}) for path, layer in layers]
    offered = sorted({name for _, named in profiles for name in named})
    if profile not in offered:
        raise ConfigError(
            f"there is no profile {profile!r}", where=str(layers[0][0]), fix=f"choose one of {', '.join(offered)}"
        )
    layers += [(path, named.get(profile) or {}) for path, named in profiles]
    for measured in folders.files(f"noise_ceilings/{dataset}-{profile}.yaml"):
        layers.append((measured, {"students": {"noise_ceiling": read_yaml(measured)}}))
    layers.append((Path("overrides"), dict(overrides or {})))
    merged: dict[str, Any] = {"profile": profile}
    for _, layer in layers:
        merged = lay_over(merged, layer)
    try:
        settings = complete(Settings.model_validate(merged))
        settings = ending(settings, needed_month(settings))
    except ValidationError as error:
        raise _explain(error, layers) from None
    if settings.dataset.name != dataset:
        raise ConfigError(
            f"found {settings.dataset.name!r}",
            where=f"{_source_of(['dataset', 'name'], layers)}: dataset.name",
            fix=f"write {dataset!r}, as the file is named",
        )
    return settings


def _explain(error: ValidationError, layers: list[tuple[Path, dict[str, Any]]]) -> ConfigError:
    details = error.errors()
    # A typo in a required key shows as two errors: the unknown key names what was meant.
    first = next((detail for detail in details if detail["type"] == "extra_forbidden"), details[0])
    path = [str(part) for part in first["loc"]]
    where = f"{_source_of(path, layers)}: {'.'.join(path) or '(whole)'}"
    more = f" ({len(details) - 1} more wrong values follow it)" if len(details) > 1 else ""
    if first["type"] == "extra_forbidden":
        allowed = _allowed_keys(path[:-1])
        near = difflib.get_close_matches(path[-1], allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return ConfigError(
            f"unknown key {path[-1]!r}{more}", where=where, fix=f"{hint}allowed here: {', '.join(allowed)}"
        )
    if first["type"] == "missing":
        return ConfigError(f"the key {path[-1]!r} is missing{more}", where=where, fix="write it, with its value")
    found = (
        f"found {first['input']!r}" if path else "sections contradict each other"
    )  # of all, the values would fill pages
    return ConfigError(f"{found}{more}", where=where, fix=_requirement(first))


def _requirement(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _source_of(path: list[str], layers: list[tuple[Path, dict[str, Any]]]) -> Path:
    """Return the last layer that sets the longest existing prefix of the path."""
    best, depth_of_best = layers[0][0], -1
    for file, layer in layers:
        node: Any = layer
        depth = 0
        for part in path:
            if not isinstance(node, dict) or part not in node:
                break
            node, depth = node[part], depth + 1
        if depth >= depth_of_best and (depth or not path):
            best, depth_of_best = file, depth
    return best


def _allowed_keys(path: list[str]) -> list[str]:
    model: Any = Settings
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = getattr(field, "annotation", None)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
            continue
        members = [
            arg for arg in getattr(annotation, "__args__", ()) if isinstance(arg, type) and issubclass(arg, BaseModel)
        ]
        model = members[0] if members else model
    return sorted(getattr(model, "model_fields", {}))
