"""C32, the verdict: whoever is offered something agreed to it, and every customer has a decision with its reason."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.settings.offering import OfferingSettings
from finai_checks.framework.check import CheckOutcome
from finai_checks.offering.offers import Offers, pairs, verdict


def no_leak(offers: Offers, settings: OfferingSettings) -> CheckOutcome:
    """Return whether nothing is offered without consent, against an objection or beyond the messages that are allowed.

    The decisions must agree: a row for each customer, what is served as it is stored, a code exactly where nothing is, and no
    channel without consent.
    """
    customers = np.asarray(offers.snapshots["customer_id"].to_numpy())
    if not len(customers):
        return CheckOutcome.no_evidence()
    customer = offers.customer
    consents = _standing(offers)
    unknown = np.full(len(customer), consents is None)
    broken = {"consents are unknown": unknown, "messages are unknown": np.full(len(customer), offers.contacts is None)}
    if consents is not None:
        broken |= {
            "no consent to marketing stands": ~np.isin(customer, _who(consents, "marketing")),
            "no consent to automated decisions stands": ~np.isin(customer, _who(consents, "automated_decision")),
            "the customer objected": np.isin(customer, _who(consents, "do_not_contact")),
        }
    if offers.contacts is not None:
        broken["the messages of the last days are too many"] = np.isin(customer, _tired(offers, settings))
    return verdict(broken, customer, len(customers), _faults(offers, customers, consents))


def _standing(offers: Offers) -> pa.Table | None:
    """Return the consents and objections that stand on the day of the decision."""
    if offers.consents is None:
        return None
    day = pa.scalar(offers.day, pa.date32())
    given = pc.less(offers.consents["given_on"], day)
    kept = pc.fill_null(pc.greater_equal(offers.consents["withdrawn_on"], day), True)
    return offers.consents.filter(pc.and_(given, kept))


def _who(consents: pa.Table, purpose: str) -> np.ndarray:
    return np.asarray(consents.filter(pc.equal(consents["purpose"], purpose))["customer_id"].to_numpy())


def _tired(offers: Offers, settings: OfferingSettings) -> np.ndarray:
    """Return the customers who got as many messages as are allowed, or more."""
    assert offers.contacts is not None  # noqa: S101 - asked before
    cutoff = datetime.combine(offers.day, time())
    since = pa.scalar(cutoff - timedelta(days=settings.messages.days), pa.timestamp("us"))
    recent = pc.and_(
        pc.greater_equal(offers.contacts["ts"], since),
        pc.less(offers.contacts["ts"], pa.scalar(cutoff, pa.timestamp("us"))),
    )
    who, count = np.unique(offers.contacts.filter(recent)["customer_id"].to_numpy(), return_counts=True)
    return np.asarray(who[count >= settings.messages.most])


def _faults(offers: Offers, customers: np.ndarray, consents: pa.Table | None) -> list[str]:
    """Return where the decisions disagree with what is stored, in words."""
    decisions = offers.decisions
    decided = np.asarray(decisions["customer_id"].to_numpy())
    length = pc.fill_null(pc.list_value_length(decisions["served"]), 0).to_numpy()
    reasoned = pc.is_valid(decisions["code"]).to_numpy()
    served = pairs(np.repeat(decided, length), pc.list_flatten(decisions["served"]).to_numpy())
    told = pairs(offers.customer, offers.recommendations["product_id"].to_numpy())
    found = {
        "customers without a decision": len(np.setdiff1d(customers, decided)),
        "decisions about customers who have another, or whom the month does not know": len(decided)
        - len(np.intersect1d(decided, customers)),
        "decisions that serve nothing and say no reason": int((~reasoned & (length == 0)).sum()),
        "decisions that serve something and say a reason not to": int((reasoned & (length > 0)).sum()),
        "products that are offered and not decided, or the reverse": len(np.setxor1d(served, told)),
        "channels without consent": _channels_without_consent(decisions, consents),
    }
    return [f"{count} {what}" for what, count in found.items() if count]


def _channels_without_consent(decisions: pa.Table, consents: pa.Table | None) -> int:
    length = pc.fill_null(pc.list_value_length(decisions["channels"]), 0).to_numpy()
    channel = pc.list_flatten(decisions["channels"])
    names = pc.unique(channel)
    told = pairs(np.repeat(decisions["customer_id"].to_numpy(), length), pc.index_in(channel, names).to_numpy())
    if consents is None:
        return len(told)
    agreed = consents.filter(pc.and_(pc.equal(consents["purpose"], "marketing"), pc.is_in(consents["channel"], names)))
    known = pc.index_in(agreed["channel"], names).to_numpy()
    return len(np.setdiff1d(told, pairs(agreed["customer_id"].to_numpy(), known)))
