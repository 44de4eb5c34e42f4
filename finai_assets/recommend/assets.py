"""Dagster assets of recommendations: every customer of a month, scored by the code that is deployed, and how good lists are."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from finai_assets.asset_graph import (
    BUNDLE,
    DECISIONS,
    EXPERT_SHARES,
    LIST_RIVALS,
    LISTS,
    OUTCOMES,
    RECOMMENDATIONS,
    SCORED_BY,
    SOURCE,
)
from finai_assets.automation.specs import entered, facts, spec_of, stored, writing
from finai_assets.bundle.registry import export, is_approved, resolve, scoring
from finai_assets.evaluation.lists.fitted import RivalRows
from finai_assets.evaluation.lists.outcomes import read_outcomes
from finai_assets.evaluation.lists.rivals import load_rivals, rivals_table, score_rivals
from finai_assets.evaluation.truth import read_product_truth
from finai_assets.platform import Platform
from finai_assets.recommend import judged
from finai_assets.recommend.evaluate import FILE, evaluate_lists
from finai_assets.recommend.named_bundle import beside, bundle_for
from finai_assets.recommend.profile import read_profile
from finai_assets.recommend.score import CONSENT_CHECK, score_month
from finai_assets.recommend.variants import evaluate_variants, read_variant_rows
from finai_assets.training.matrix import load_matrix
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.json_text import plain, to_json
from finai_resources.lake_resource import LakeResource
from finai_resources.month_runs import Materialised, months_of, yield_months
from finai_resources.months import Month
from serving_lambda.bundle import load_bundle

FACTS = "facts.json"


class ScoreConfig(dg.Config):
    """Which bundle scores, for one run; by default that of today."""

    bundle: str = Field(
        default="",
        description="champion, challenger, previous or an id; empty: the champion, while there is none the challenger",
    )
    replace: bool = Field(
        default=False, description="whether a named bundle may replace what another one made of the month"
    )


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the monthly recommendations, the evaluation of lists, and what lists were worth, where there is a bundle."""
    if RECOMMENDATIONS not in platform.graph:
        return []
    descriptions = {
        RECOMMENDATIONS: "Products that every customer is offered, with scores, layer, and a reason in Korean and English.",
        DECISIONS: (
            "What was ranked for every customer before constraints, what is served, on which channels it may be told, and the "
            "code of why a product, or everything, is not served."
        ),
    }

    @dg.multi_asset(
        name="customers", specs=[spec_of(platform, path, text, {"parquet"}) for path, text in descriptions.items()]
    )
    def customers(
        context: dg.AssetExecutionContext,
        config: ScoreConfig,
        lake: LakeResource,
        home: HomeResource,
        gates: dg.ResourceParam[Gates],
    ) -> Iterator[dg.MaterializeResult]:
        settings = platform.graph.settings_of(RECOMMENDATIONS)

        def score(month: Month) -> list[Materialised]:
            named = bundle_for(lake.open(), month, config.bundle, replace=config.replace) if config.bundle else ""
            session = entered(
                lake, gates, platform, *descriptions, month=month, beside=lambda opened: beside(opened, named)
            )
            scored_by = named or scoring(
                session.lake
            )  # once the gates were asked: before there is a bundle they say more
            folder = resolve(session.lake, home.path, scored_by)
            figures = score_month(
                session,
                month,
                platform.registry,
                settings,
                load_bundle(folder, home.secrets().key("signing")),
                permission=gates.permission(session.lake, CONSENT_CHECK, RECOMMENDATIONS, month.key),
                **platform.graph.versions(RECOMMENDATIONS),
            )
            manifests = {path: session.lake.manifest(path, month.key) for path in descriptions}
            told = {SCORED_BY: scored_by, "approved": is_approved(session.lake, scored_by)}
            return [
                Materialised(path, manifest.content_hash, {**facts(manifest), **figures, **told})
                for path, manifest in manifests.items()
            ]

        yield from yield_months(context, ((month, score(month)) for month in months_of(context)))

    return [customers, _rivals(platform), _evaluation(platform), _outcomes(platform), _expert_shares(platform)]


def _rivals(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "What our lists are compared with, on test rows: the scores of popularity, item-kNN, EASE, ALS and LightGBM for each "
        "product, each fitted on train rows and chosen on validation rows. None of them reads a bundle; `facts.json` says how "
        "each was made."
    )

    @dg.multi_asset(name="rivals", specs=[spec_of(platform, LIST_RIVALS, description, {"lightgbm", "parquet"})])
    def rivals(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        session, settings = entered(lake, gates, platform, LIST_RIVALS), platform.graph.settings_of(LIST_RIVALS)
        matrix = load_matrix(session)
        outcomes = read_outcomes(
            session, matrix.month, matrix.customer,
            horizon_months=settings.horizon_months, products=len(settings.products),
        )  # fmt: skip
        found = score_rivals(matrix, outcomes, settings)
        with writing(session, platform, LIST_RIVALS) as out:
            out.write(rivals_table(found))
            out.put(FACTS, to_json(plain(found.facts), indent=1, sort_keys=True))
        return stored(session, LIST_RIVALS)

    return rivals


def _evaluation(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "The bundle's lists on test rows, as ranked and as served: hit rate, MAP, NDCG of what is acquired, coverage and "
        "novelty, beside popularity, item-kNN, EASE, ALS, LightGBM for each product and (synthetic data) the true hazards."
    )

    @dg.multi_asset(name="lists_evaluation", specs=[spec_of(platform, LISTS, description, {"json", "html"})])
    def lists_evaluation(
        lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> dg.MaterializeResult:
        from finai_assets.recommend.lists_page import PAGE, lists_page, markdown

        session, settings = entered(lake, gates, platform, LISTS), platform.graph.settings_of(LISTS)
        matrix, products = load_matrix(session), len(settings.products)
        outcomes = read_outcomes(
            session, matrix.month, matrix.customer, horizon_months=settings.horizon_months, products=products
        )
        test = matrix.rows("test")
        month, customer = matrix.month[test], matrix.customer[test]
        known = SOURCE in platform.graph
        bundle = load_bundle(export(session.read_files(BUNDLE), home.path), home.secrets().key("signing"))
        train = RivalRows.of(matrix, outcomes, settings)
        variants = evaluate_variants(
            bundle, matrix.columns, read_variant_rows(session, matrix, outcomes, bundle.offering, settings),
            train.train_acquisitions, settings,
        )  # fmt: skip
        lists = evaluate_lists(
            bundle,
            matrix,
            outcomes,
            read_profile(session, month, customer, bundle.offering, settings),
            read_product_truth(session, month, customer, products=products) if known else None,
            load_rivals(
                session.read(LIST_RIVALS), session.read_json(LIST_RIVALS, None, FACTS), len(customer), products
            ),
            settings,
        )
        lists["variants"] = variants
        with writing(session, platform, LISTS) as out:
            out.put(FILE, to_json(lists, indent=1, sort_keys=True))
            out.put(PAGE, lists_page(lists))
        return stored(session, LISTS, rows=lists["rows"], lists=dg.MetadataValue.md(markdown(lists)))

    return lists_evaluation


def _outcomes(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "What a month's customers were offered, before constraints and as served, against what they acquired in the months "
        "after: hit rate and NDCG, by layer, family and code of why nothing was offered, beside popularity. No model reads it."
    )

    @dg.multi_asset(name="outcomes", specs=[spec_of(platform, OUTCOMES, description, {"json"})])
    def outcomes(
        context: dg.AssetExecutionContext, lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        settings = platform.graph.settings_of(OUTCOMES)

        def judge(month: Month) -> list[Materialised]:
            session = entered(lake, gates, platform, OUTCOMES, month=month)
            scored_by = session.manifest(RECOMMENDATIONS, month.key).extra[SCORED_BY]
            bundle = load_bundle(resolve(session.lake, home.path, scored_by), home.secrets().key("signing"))
            found = judged.judge_month(session, month, bundle.ranking, scored_by, settings)
            with writing(session, platform, OUTCOMES, month.key) as out:
                out.put(judged.FILE, to_json(found, indent=1, sort_keys=True))
            manifest = session.lake.manifest(OUTCOMES, month.key)
            told = {**judged.metadata_of(found), "figures": dg.MetadataValue.md(judged.markdown(found))}
            return [Materialised(OUTCOMES, manifest.content_hash, {**facts(manifest), **told})]

        yield from yield_months(context, ((month, judge(month)) for month in months_of(context)))

    return outcomes


def _expert_shares(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "For whoever is shown something, how the teacher's gate divides the prediction behind it among its experts, and how "
        "faithful such shares were measured to be. For the employee alone; one batch a month, and no request has any."
    )

    @dg.multi_asset(name="expert_shares", specs=[spec_of(platform, EXPERT_SHARES, description, {"parquet", "json"})])
    def expert_shares(
        context: dg.AssetExecutionContext, lake: LakeResource, gates: dg.ResourceParam[Gates]
    ) -> Iterator[dg.MaterializeResult]:
        settings, graph = platform.graph.settings_of(EXPERT_SHARES), platform.graph

        def explain(month: Month) -> list[Materialised]:
            from finai_assets.recommend import experts

            session = entered(lake, gates, platform, EXPERT_SHARES, month=month)
            found = experts.expert_shares(session, month, platform.registry, settings)
            extra = {"absent": found.absent}
            with session.write(EXPERT_SHARES, month.key, **graph.versions(EXPERT_SHARES), extra=extra) as out:
                out.write(found.table)
                out.put(experts.FAITHFULNESS, to_json(found.faithfulness, indent=1, sort_keys=True))
            manifest = session.lake.manifest(EXPERT_SHARES, month.key)
            told = {f"faithful for {task}": of["faithful"] for task, of in found.faithfulness.items()}
            return [Materialised(EXPERT_SHARES, manifest.content_hash, {**facts(manifest), **extra, **told})]

        yield from yield_months(context, ((month, explain(month)) for month in months_of(context)))

    return expert_shares
