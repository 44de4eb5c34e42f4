"""C44, the verdict: our list is not below any simple rival's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_checks.framework.check import CheckOutcome

COMPARED = {"ours_over": "as ranked", "served_over": "as served"}


def not_below_rivals(lists: Mapping[str, Any] | None) -> CheckOutcome:
    """Return whether no interval of our NDCG@3 less a simple rival's lies below zero, as ranked and as served.

    As served, the rivals' lists are filtered and cut as ours are. A difference without an interval is no evidence.

    Parameters
    ----------
    lists
        ``lists.json``, or None where there is none.
    """
    if lists is None or not lists["acquiring"]:
        return CheckOutcome.no_evidence()
    simple = [name for name, rival in lists["rivals"].items() if rival["simple"]]
    table, below = [], []
    for part, how in COMPARED.items():
        for name in simple:
            found = lists[part].get(name) or {}
            if found.get("low") is None or found.get("high") is None:
                return CheckOutcome.no_evidence(rival=name, compared=how)
            passed = found["high"] >= 0.0
            table.append({"list": how, "rival": name, "difference": found["value"], "low": found["low"],
                          "high": found["high"], "passed": passed})  # fmt: skip
            if not passed:
                below.append(
                    f"{how} it is below {name} by {-found['value']:.3f} [{-found['high']:.3f}, {-found['low']:.3f}]"
                )
    if not table:
        return CheckOutcome.no_evidence()
    observed = {"bundle_id": lists["bundle_id"], "rivals": simple, "layers": lists["layers"]}
    return CheckOutcome(not below, "; ".join(below), lists["acquiring"], observed, table)
