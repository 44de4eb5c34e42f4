"""The door of recommendations: every customer of a month, scored by the code that is deployed."""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import RECOMMENDATIONS, facts
from finai_assets.bundle.assets import BUNDLE_ASSET
from finai_assets.bundle.registry import export
from finai_assets.features.assets import snapshot_partitions
from finai_assets.platform import Platform
from finai_assets.recommend.score import score_month
from finai_assets.teacher.assets import read_files
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month
from serving_lambda.bundle import load_bundle

RECOMMENDATIONS_ASSET = "recommendations/customers"


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the monthly recommendations."""
    settings, groups = platform.settings, platform.registry.available

    @dg.asset(
        key=RECOMMENDATIONS_ASSET.split("/"),
        group_name="recommendations",
        partitions_def=snapshot_partitions(platform),
        deps=[
            BUNDLE_ASSET.split("/"),
            *(group.asset.split("/") for group in platform.registry.available),
            dg.AssetDep(["raw", "snapshots"], partition_mapping=dg.TimeWindowPartitionMapping()),
        ],
        kinds={"parquet"},
        code_version=RECOMMENDATIONS.code_version,
        description="Ranked products of every customer, with scores, layer, and a reason in Korean and English.",
    )
    def customers(
        context: dg.AssetExecutionContext, lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        def score(month: Month) -> list[Materialised]:
            session = lake.session()  # a month's own, since it remembers what the month was made from
            gates.demand(session.lake, [(BUNDLE_ASSET, None), *((group.asset, month.key) for group in groups)])
            folder = export(read_files(session, BUNDLE_ASSET), home.path)
            bundle = load_bundle(folder, home.secrets().key("signing"))
            figures = score_month(
                session,
                month,
                platform.registry,
                settings,
                bundle,
                asset=RECOMMENDATIONS_ASSET,
                code_version=RECOMMENDATIONS.code_version,
                config_hash=RECOMMENDATIONS.config_hash(settings),
            )
            manifest = session.lake.manifest(RECOMMENDATIONS_ASSET, month.key)
            return [Materialised(RECOMMENDATIONS_ASSET, manifest.content_hash, {**facts(manifest), **figures})]

        yield from yield_months(context, ((month, score(month)) for month in months_of(context)))

    return [customers]
