"""The Dagster asset of recommendations: every customer of a month, scored by the code that is deployed."""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import BUNDLE, RECOMMENDATIONS
from finai_assets.automation.specs import facts, spec_of
from finai_assets.bundle.registry import export
from finai_assets.platform import Platform
from finai_assets.recommend.score import score_month
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month
from serving_lambda.bundle import load_bundle


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the monthly recommendations."""
    description = "Ranked products of every customer, with scores, layer, and a reason in Korean and English."

    @dg.multi_asset(name="customers", specs=[spec_of(platform, RECOMMENDATIONS, description, {"parquet"})])
    def customers(
        context: dg.AssetExecutionContext, lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        settings = platform.graph.settings_of(RECOMMENDATIONS)

        def score(month: Month) -> list[Materialised]:
            session = lake.session()  # a month's own, since it remembers what the month was made from
            gates.demand(session.lake, platform.graph.asked(RECOMMENDATIONS, month))
            folder = export(session.read_files(BUNDLE), home.path)
            figures = score_month(
                session,
                month,
                platform.registry,
                settings,
                load_bundle(folder, home.secrets().key("signing")),
                asset=RECOMMENDATIONS,
                **platform.graph.versions(RECOMMENDATIONS),
            )
            manifest = session.lake.manifest(RECOMMENDATIONS, month.key)
            return [Materialised(RECOMMENDATIONS, manifest.content_hash, {**facts(manifest), **figures})]

        yield from yield_months(context, ((month, score(month)) for month in months_of(context)))

    return [customers]
