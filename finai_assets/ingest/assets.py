"""Dagster assets of ingest: the generated source (synthetic data only), the catalogue, and the raw tables of each month."""

from collections.abc import Iterator

import dagster as dg

from finai_assets.asset_graph import CATALOGUE_TABLES, RAW_TABLES, SNAPSHOTS, SOURCE, SOURCE_TABLES
from finai_assets.automation.specs import entered, facts, spec_of, stored, writing
from finai_assets.automation.table_metadata import table_schema
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.contract_schemas import SCHEMAS
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.pseudonym import pseudonym_key
from finai_assets.platform import Platform
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.json_text import plain, to_json
from finai_resources.lake_resource import LakeResource
from finai_resources.manifest import address
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month

DESCRIPTIONS = dict(
    zip(
        (*CATALOGUE_TABLES, *RAW_TABLES),
        (
            "Products of the catalogue: id, family, class, risk grade.",
            "Terms of each product: who may open it, rates, period, fee, disclosures, benefits by merchant category.",
            "Merchant categories as a tree: leaf, L2, L1.",
            "One row for each customer and month: demographics, segment, products held at the end of the month.",
            "Every transaction of the month, sorted by customer and time.",
            "Attributes that only fairness checks may read; never a model's input.",
            "The riskiest product grade that suits each assessed customer, and until when; read by offers, by no model.",
            "Consents to marketing and automated decisions, and objections; read by offers, by no model.",
            "The messages of the month; read by offers, by no model.",
            "How much each customer has with the bank, as a band; read by offers, by no model.",
        ),
        strict=True,
    )
)


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the ingest assets of a data set."""
    source = [_source(platform)] if SOURCE in platform.graph else []
    catalogue = [_catalogue(platform)] if platform.graph.catalogues else []
    return [*source, *catalogue, _monthly(platform)]


def _source(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "A panel of customers simulated with known truth: source months, and under truth/ the true probabilities, of "
        "each task's label and of the acquisition of each product, that only evaluation reads."
    )

    @dg.multi_asset(name="source_panel", specs=[spec_of(platform, SOURCE, description, {"numba", "parquet"})])
    def panel(lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.ingest.synthetic import generate

        session, settings = entered(lake, gates, platform, SOURCE), platform.graph.settings_of(SOURCE)
        report = generate(
            settings,
            pseudonym_key(settings, home.secrets()),
            session,
            tasks=platform.available_tasks,
            workers=settings.lake.workers,
            code_version=platform.graph.code_version(SOURCE),
        )
        # The content hash of every source partition, so that the source's own hash covers the panel.
        written = {
            address(asset, month.key): session.lake.manifest(asset, month.key).content_hash
            for asset in SOURCE_TABLES
            for month in settings.dataset.raw_months
        }
        with writing(session, platform, SOURCE) as out:
            out.put("panel.json", to_json(written, indent=1, sort_keys=True))
            out.put("report.json", to_json(plain(report.figures), indent=1, sort_keys=True))
        return stored(session, SOURCE, realism=dg.MetadataValue.json(report.figures))

    return panel


def _raw_spec(platform: Platform, path: str) -> dg.AssetSpec:
    metadata = {"dagster/column_schema": table_schema(SCHEMAS[path])} if path in SCHEMAS else {}
    return spec_of(platform, path, DESCRIPTIONS[path], {"parquet"}, metadata=metadata)


def _catalogue(platform: Platform) -> dg.AssetsDefinition:
    paths = list(platform.graph.catalogues)
    specs = [_raw_spec(platform, path) for path in paths]

    @dg.multi_asset(name="raw_catalogue", specs=specs)
    def catalogue(
        lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        session = entered(lake, gates, platform, *paths)
        settings = platform.graph.settings_of(*paths)
        adapter = open_adapter(settings, pseudonym_key(settings, home.secrets()), session)
        load_catalogue(adapter, session, settings, **platform.graph.versions(paths[0]))
        yield from (stored(session, path) for path in paths)

    return catalogue


def _monthly(platform: Platform) -> dg.AssetsDefinition:
    paths = platform.graph.in_groups([platform.graph[SNAPSHOTS].group])
    specs = [_raw_spec(platform, path) for path in paths]

    @dg.multi_asset(name="raw_month", specs=specs)
    def raw_month(
        context: dg.AssetExecutionContext, lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        settings, versions = platform.graph.settings_of(SNAPSHOTS), platform.graph.versions(SNAPSHOTS)
        key = pseudonym_key(settings, home.secrets())

        def load(month: Month) -> list[Materialised]:
            session = entered(lake, gates, platform, *paths, month=month)
            figures = load_month(open_adapter(settings, key, session), session, month, settings, **versions)
            manifests = [session.lake.manifest(path, month.key) for path in paths]
            return [Materialised(m.asset, m.content_hash, {**facts(m), **figures.get(m.asset, {})}) for m in manifests]

        yield from yield_months(context, ((month, load(month)) for month in months_of(context)))

    return raw_month
