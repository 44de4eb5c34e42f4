"""What a run prints of its recommendations: how many, to how many, and the first of three customers."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
from rich.console import Console

from finai_cli.summary import _nothing_offered, _print_recommendations
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.warehouse import Warehouse


def test_the_first_product_of_the_first_three_customers_is_printed_with_its_reasons(lake: Lake) -> None:
    rows = [(customer, rank) for customer in (7, 8, 9, 12) for rank in (1, 2)]
    with lake.write("recommendations/customers", "2015-07") as out:
        out.write(
            pa.table(
                {
                    "customer_id": [customer for customer, _ in rows],
                    "rank": pa.array([rank for _, rank in rows], pa.int8()),
                    "product": [f"product_{customer}_{rank}" for customer, rank in rows],
                    "score": pa.array([0.25 / rank for _, rank in rows], pa.float32()),
                    "layer": pa.array([1] * len(rows), pa.int8()),
                    "reason_ko": ["이유"] * len(rows),
                    "reason_en": ["reason"] * len(rows),
                }
            )
        )
    printed = io.StringIO()
    summary: dict[str, Any] = {
        "recommendations": {"month": "2015-07", "nothing_offered": {}, "approved": True}, "outcomes": None,
    }  # fmt: skip
    _print_recommendations(summary, Warehouse(LakeSession(lake)), Console(file=printed, width=200))
    lines = printed.getvalue().strip().splitlines()
    assert lines[0] == "8 recommendations to 4 customers for 2015-07:"
    assert lines[1] == "  customer 7: product_7_1 (score 0.2500, layer 1)"
    assert lines[2:4] == ["    이유", "    reason"]
    assert [line.split(":")[0] for line in lines[1::3]] == ["  customer 7", "  customer 8", "  customer 9"]
    codes = {"NO_MARKETING_CONSENT": 1200, "DO_NOT_CONTACT": 3}
    summary["recommendations"] |= {"nothing_offered": codes, "approved": False}
    figure = {"value": 0.25, "low": 0.2, "high": 0.3}
    summary["outcomes"] = {"month": "2015-06", "acquiring": 1300, "lists": {"popularity_served": {"ndcg_at_3": figure}}}
    _print_recommendations(summary, Warehouse(LakeSession(lake)), Console(file=printed, width=200))
    told = printed.getvalue()
    assert "  nothing is offered to 1,203 customers: NO_MARKETING_CONSENT 1,200, DO_NOT_CONTACT 3" in told
    assert told.count("not approved: their bundle is a challenger") == 1
    assert (
        "2015-06 has matured: 1,300 customers acquired something; NDCG@3 of what was popularity served 0.250 (0.2"
        in told
    )


def test_the_codes_of_nothing_offered_are_counted_the_most_frequent_first(lake: Lake) -> None:
    with lake.write("recommendations/decisions", "2015-07") as out:
        out.write(pa.table({"code": pa.array([None, "B", "A", "C", "C", None], pa.string())}))
    assert list(_nothing_offered(lake, "2015-07").items()) == [("C", 2), ("A", 1), ("B", 1)]
