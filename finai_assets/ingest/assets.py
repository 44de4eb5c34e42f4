"""The door of ingest: the generated source (synthetic data only), the catalogue, and the raw tables of each month."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from finai_assets.asset_graph import RAW, SOURCE, facts
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.pseudonym import pseudonym_key
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_resources.home_resource import HomeResource
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.manifest import Manifest, address
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month
from finai_resources.progress import progress

SOURCE_ASSET = "source/panel"
SOURCE_TABLES = ("source/snapshots", "source/transactions", "source/protected_attributes")
CATALOGUE_ASSETS = ("raw/products", "raw/merchant_categories")
MONTHLY_ASSETS = ("raw/snapshots", "raw/transactions", "raw/protected_attributes")
DESCRIPTIONS = {
    "raw/products": "Products of the catalogue: id, family, class, risk grade.",
    "raw/merchant_categories": "Merchant categories as a tree: leaf, L2, L1.",
    "raw/snapshots": "One row for each customer and month: demographics, segment, products held at the end of the month.",
    "raw/transactions": "Every transaction of the month, sorted by customer and time.",
    "raw/protected_attributes": "Attributes that only fairness checks may read; never a model's input.",
}


def raw_partitions(platform: Platform) -> dg.MonthlyPartitionsDefinition:
    """Return the raw months as Dagster partitions."""
    months = platform.settings.dataset.raw_months
    return dg.MonthlyPartitionsDefinition(months.first.partition_key, end_date=(months.last + 1).partition_key)


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the ingest assets of a data set."""
    settings = platform.settings
    built = [_source(platform)] if settings.dataset.adapter == "synthetic" else []
    return [*built, _catalogue(settings), _monthly(platform)]


def _source(platform: Platform) -> dg.AssetsDefinition:
    settings = platform.settings

    @dg.asset(
        key=SOURCE_ASSET.split("/"),
        group_name="source",
        kinds={"numba", "parquet"},
        code_version=SOURCE.code_version,
        description="A panel of customers simulated with known truth: source months, and under truth/ the true "
        "probabilities that only evaluation reads.",
    )
    def panel(lake: LakeResource, home: HomeResource) -> dg.MaterializeResult:
        from finai_assets.ingest.synthetic import generate  # noqa: PLC0415 - compiles kernels; only this asset needs it

        session = lake.session()
        report = generate(
            settings,
            pseudonym_key(settings, home.secrets()),
            session,
            tasks=platform.available_tasks,
            workers=settings.lake.workers,
            progress=progress("customers"),
            code_version=SOURCE.code_version,
        )
        with session.lake.write(
            SOURCE_ASSET, code_version=SOURCE.code_version, config_hash=SOURCE.config_hash(settings)
        ) as out:
            out.put("panel.json", json.dumps(_written(session.lake, settings), indent=1, sort_keys=True).encode())
            out.put("report.json", json.dumps(report.figures, indent=1, sort_keys=True, ensure_ascii=False).encode())
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        return dg.MaterializeResult(
            metadata={**facts(out.manifest), "realism": dg.MetadataValue.json(report.figures)},
            data_version=dg.DataVersion(out.manifest.content_hash),
        )

    return panel


def _written(lake: Lake, settings: Settings) -> dict[str, str]:
    """Return the content hash of every source partition, so that the source's own hash covers the panel."""
    return {
        address(asset, month.key): lake.manifest(asset, month.key).content_hash
        for asset in SOURCE_TABLES
        for month in settings.dataset.raw_months
    }


def _raw_specs(assets: tuple[str, ...], settings: Settings) -> list[dg.AssetSpec]:
    deps = [SOURCE_ASSET.split("/")] if settings.dataset.adapter == "synthetic" else []
    return [
        dg.AssetSpec(
            asset.split("/"),
            group_name="raw",
            description=DESCRIPTIONS[asset],
            deps=deps,
            kinds={"parquet"},
            code_version=RAW.code_version,
        )
        for asset in assets
    ]


def _catalogue(settings: Settings) -> dg.AssetsDefinition:

    @dg.multi_asset(
        name="raw_catalogue",
        specs=_raw_specs(CATALOGUE_ASSETS, settings),
    )
    def catalogue(lake: LakeResource, home: HomeResource) -> Iterator[dg.MaterializeResult]:
        session = lake.session()
        adapter = open_adapter(settings, pseudonym_key(settings, home.secrets()), session)
        load_catalogue(adapter, session, settings, code_version=RAW.code_version, config_hash=RAW.config_hash(settings))
        for asset in CATALOGUE_ASSETS:
            manifest = session.lake.manifest(asset)
            yield dg.MaterializeResult(
                asset_key=asset.split("/"),
                metadata=facts(manifest),
                data_version=dg.DataVersion(manifest.content_hash),
            )

    return catalogue


def _monthly(platform: Platform) -> dg.AssetsDefinition:
    settings = platform.settings

    @dg.multi_asset(
        name="raw_month",
        partitions_def=raw_partitions(platform),
        specs=_raw_specs(MONTHLY_ASSETS, settings),
    )
    def raw_month(
        context: dg.AssetExecutionContext, lake: LakeResource, home: HomeResource
    ) -> Iterator[dg.MaterializeResult]:
        key = pseudonym_key(settings, home.secrets())

        def load(month: Month) -> list[Materialised]:
            session = lake.session()  # a month's own, since it remembers what the month was made from
            adapter = open_adapter(settings, key, session)
            figures = load_month(
                adapter, session, month, settings, code_version=RAW.code_version, config_hash=RAW.config_hash(settings)
            )
            return [
                _materialised(session.lake.manifest(asset, month.key), figures.get(asset, {}))
                for asset in MONTHLY_ASSETS
            ]

        yield from yield_months(context, ((month, load(month)) for month in months_of(context)))

    return raw_month


def _materialised(manifest: Manifest, figures: Mapping[str, Any]) -> Materialised:
    return Materialised(manifest.asset, manifest.content_hash, {**facts(manifest), **figures})
