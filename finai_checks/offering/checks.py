"""C28, C31 and C32 on the recommendations of every month."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import (
    ASSET_BANDS,
    CONSENTS,
    CONTACTS,
    DECISIONS,
    PRODUCT_TERMS,
    PRODUCTS,
    RECOMMENDATIONS,
    RISK_PROFILES,
    SNAPSHOTS,
    table_name,
)
from finai_assets.bundle.registry import resolve
from finai_assets.platform import Platform
from finai_assets.recommend.one import records_of_range
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.offering.consent import no_leak
from finai_checks.offering.offers import Offers
from finai_checks.offering.replayed import answer_of, answers_of, recommendations_replayed
from finai_checks.offering.suitability import suitable
from finai_resources.months import Month, month_range
from serving_lambda.bundle import load_bundle

SUITABILITY = CheckKind(
    "C31",
    "suitability_zero_violations",
    "no customer is offered a product that needs a risk profile without one that counts at the cutoff, one riskier than the "
    "profile, one outside its ages or its asset bands, or, as a senior, one above the limit of risk; what is unknown counts as "
    "a violation",
    blocking=True,
    minimum=1,
    units="customers",
    thresholds=("offering.profile_classes", "offering.senior", "dataset.asset_bands"),
)
CONSENT = CheckKind(
    "C32",
    "consent_zero_leak",
    "nothing is offered to a customer without consents to marketing and to automated decisions that stand at the cutoff, to one "
    "who objected, or to one who got the most messages allowed; every customer has one decision that agrees with what is "
    "offered, with a code exactly where nothing is",
    blocking=True,
    minimum=1,
    units="customers",
    thresholds=("offering.messages",),
)
REPLAYED = CheckKind(
    "C28",
    "recommendations_replayed",
    "customers of the month who are answered one by one by the deployed code, from the stored features and the bundle that the "
    "month names, get the products, scores, layers, reasons and codes that are stored",
    blocking=True,
    minimum=1,
    units="customers",
    thresholds=("checks.replay_recommendations", "seed"),
)
KINDS = (SUITABILITY, CONSENT, REPLAYED)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the checks on the recommendations of every month."""
    months = tuple(platform.settings.dataset.snapshot_months)
    return [
        declare(SUITABILITY, RECOMMENDATIONS, evaluate_suitability, platform.settings, months=months),
        declare(CONSENT, RECOMMENDATIONS, evaluate_consent, platform.settings, months=months),
        declare(REPLAYED, RECOMMENDATIONS, evaluate_replay, platform.settings, months=months),
    ]


def evaluate_suitability(context: CheckContext, _: str) -> CheckOutcome:
    """Judge what is stored by the raw tables as they are stored."""
    return suitable(_offers(context), context.settings.offering, context.settings.dataset.asset_bands)


def evaluate_consent(context: CheckContext, _: str) -> CheckOutcome:
    """Judge what is stored by the raw tables as they are stored."""
    return no_leak(_offers(context), context.settings.offering)


def evaluate_replay(context: CheckContext, asset: str) -> CheckOutcome:
    """Answer neighbouring customers of the month again; their tokens are hashes, so that neighbours have nothing in common."""
    session, month, settings = context.session, context.required_month, context.settings
    decisions = session.read(DECISIONS, month.key)
    ids = np.sort(decisions["customer_id"].to_numpy())
    secrets = context.platform.secrets
    if not len(ids) or secrets is None:
        return CheckOutcome.no_evidence(customers=len(ids), key=secrets is not None)
    count = min(settings.checks.replay_recommendations, len(ids))
    first = int(np.random.default_rng([settings.seed, month.ordinal]).integers(len(ids) - count + 1))
    chosen = ids[first : first + count]
    made_by = session.manifest(asset, month.key).extra
    with TemporaryDirectory(prefix="finai-bundle-") as folder:
        bundle = load_bundle(resolve(session.lake, Path(folder), made_by["bundle_id"]), secrets.key("signing"))
        records = records_of_range(
            session, month, int(chosen[0]), int(chosen[-1]), context.platform.registry, settings, bundle,
            unknown_permitted=bool(made_by["unknown_consent_permitted"]),
        )  # fmt: skip
        again = {customer: answer_of(found, bundle.renderer) for customer, found in records.items()}
    stored = answers_of(session.read_customers(asset, month.key, int(chosen[0]), int(chosen[-1])), decisions)
    return recommendations_replayed(stored, again)


def _offers(context: CheckContext) -> Offers:
    session, month = context.session, context.required_month
    return Offers(
        month.cutoff.date(),
        session.read(RECOMMENDATIONS, month.key, columns=["customer_id", "product_id"]),
        session.read(DECISIONS, month.key, columns=["customer_id", "served", "code", "channels"]),
        session.read(SNAPSHOTS, month.key, columns=["customer_id", "age"]),
        session.read(PRODUCTS),
        session.read(PRODUCT_TERMS),
        _table(context, RISK_PROFILES, [month]),
        _table(context, ASSET_BANDS, [month]),
        _table(context, CONSENTS, [month]),
        _table(context, CONTACTS, _months_of_messages(context, month)),
    )


def _table(context: CheckContext, path: str, months: list[Month]) -> pa.Table | None:
    if table_name(path) in context.settings.dataset.unavailable_tables:
        return None
    return pa.concat_tables([context.session.read(path, month.key) for month in months])


def _months_of_messages(context: CheckContext, month: Month) -> list[Month]:
    """Return the months that the last days before the cutoff lie in, as far as there are data."""
    first = Month.of(month.cutoff.date() - timedelta(days=context.settings.offering.messages.days))
    return [each for each in month_range(first, month) if each in context.settings.dataset.raw_months]
