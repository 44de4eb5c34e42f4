"""C31 and C32 on the recommendations of every month."""

from __future__ import annotations

from datetime import timedelta

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
from finai_assets.platform import Platform
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare
from finai_checks.offering.consent import no_leak
from finai_checks.offering.offers import Offers
from finai_checks.offering.suitability import suitable
from finai_resources.months import Month, month_range

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
KINDS = (SUITABILITY, CONSENT)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put both checks on the recommendations of every month."""
    months = tuple(platform.settings.dataset.snapshot_months)
    return [
        declare(SUITABILITY, RECOMMENDATIONS, evaluate_suitability, platform.settings, months=months),
        declare(CONSENT, RECOMMENDATIONS, evaluate_consent, platform.settings, months=months),
    ]


def evaluate_suitability(context: CheckContext, _: str) -> CheckOutcome:
    """Judge what is stored by the raw tables as they are stored."""
    return suitable(_offers(context), context.settings.offering, context.settings.dataset.asset_bands)


def evaluate_consent(context: CheckContext, _: str) -> CheckOutcome:
    """Judge what is stored by the raw tables as they are stored."""
    return no_leak(_offers(context), context.settings.offering)


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
