"""C31, the verdict: every product that is offered suits the customer's profile, age and assets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.settings.offering import OfferingSettings
from finai_checks.framework.check import CheckOutcome
from finai_checks.offering.offers import Offers, looked_up, numbers, verdict

_RISKIEST = 1


def suitable(offers: Offers, settings: OfferingSettings, asset_bands: tuple[str, ...]) -> CheckOutcome:
    """Return whether no offered product is unsuitable.

    Parameters
    ----------
    asset_bands
        Ascending.
    """
    if not offers.snapshots.num_rows:
        return CheckOutcome.no_evidence()
    customer, product = offers.customer, np.asarray(offers.recommendations["product_id"].to_numpy())
    age = numbers(looked_up(offers.snapshots, "customer_id", "age", customer))
    grade = numbers(looked_up(offers.products, "product_id", "risk_grade", product))
    classes = looked_up(offers.products, "product_id", "product_class", product)
    invests = pc.is_in(classes, pa.array(settings.profile_classes, pa.string())).to_numpy()
    own = numbers(looked_up(offers.profiles, "customer_id", "grade", customer))
    expires = looked_up(offers.profiles, "customer_id", "expires_on", customer).cast(pa.date32())
    over = pc.fill_null(pc.less_equal(expires, pa.scalar(offers.day, pa.date32())), False).to_numpy()
    low, high = (
        numbers(looked_up(offers.terms, "product_id", name, product)) for name in ("minimum_age", "maximum_age")
    )
    wanted, has = (
        numbers(pc.index_in(bands.cast(pa.string()), pa.array(asset_bands, pa.string())))
        for bands in (
            looked_up(offers.terms, "product_id", "minimum_asset_band", product),
            looked_up(offers.bands, "customer_id", "band", customer),
        )
    )
    risky, limited = grade < settings.senior.riskiest_grade, ~np.isnan(low) | ~np.isnan(high)
    stranger = ~np.isin(customer, offers.snapshots["customer_id"].to_numpy())
    return verdict(
        {
            "the month does not know the customer": stranger,
            "the catalogue does not know the product": ~np.isin(product, offers.products["product_id"].to_numpy()),
            "there is no risk profile": invests & np.isnan(own),
            "the risk profile has expired": invests & over,
            "riskier than the risk profile": invests & (np.nan_to_num(grade, nan=_RISKIEST) < own),
            "the age is unknown": (limited | risky) & np.isnan(age),
            "below the minimum age": age < low,
            "above the maximum age": age > high,
            "the assets are unknown": ~np.isnan(wanted) & np.isnan(has),
            "the assets are below the minimum": has < wanted,
            "too risky for a senior": risky & (age >= settings.senior.age),
        },
        customer,
        offers.snapshots.num_rows,
    )
