"""What a run prints at its end: how many recommendations, to how many, ten customers' lists, and what to look at next."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from finai_cli.summary import nothing_offered
from finai_cli.summary_printed import _print_recommendations, _print_what_to_look_at
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.warehouse import Warehouse


def test_the_lists_of_the_first_ten_customers_are_printed_with_the_reason_of_the_first_product(lake: Lake) -> None:
    rows = [(customer, rank) for customer in range(7, 19) for rank in (2, 1)]
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
    assert lines[0] == "24 recommendations to 12 customers for 2015-07:"
    assert lines[1] == "  customer 7: product_7_1 (score 0.2500, layer 1), product_7_2"
    assert lines[2:4] == ["    이유", "    reason"]
    assert [line.split(":")[0] for line in lines[1::3]] == [f"  customer {customer}" for customer in range(7, 17)]
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
    assert list(nothing_offered(lake, "2015-07").items()) == [("C", 2), ("A", 1), ("B", 1)]


def _looked_at(summary: dict[str, Any], home: Path) -> list[str]:
    printed = io.StringIO()
    _print_what_to_look_at(summary, Home.at(home), Console(file=printed, width=80))
    return printed.getvalue().strip().splitlines()


@pytest.fixture
def ended(tmp_path: Path) -> dict[str, Any]:
    return {
        "dataset": "synthetic",
        "profile": "demo",
        "evaluation_report": str(tmp_path / "report.html"),
        "lists_page": "s3://lake/lists.html",
        "bundle": None,
        "recommendations": {},
    }


def test_what_to_look_at_is_told_as_it_works_from_the_present_folder(
    ended: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    script = str(Path(sys.executable).with_name("finai"))
    assert _looked_at(ended, tmp_path / ".finai" / "synthetic-demo") == [
        "look at:",
        "  report.html  the tasks: skill beside baselines and ceiling",
        "  s3://lake/lists.html  the lists beside their rivals",
        f"  {script} ui  the Dagster UI on http://127.0.0.1:3000",
    ]
    monkeypatch.setenv("PATH", str(Path(script).parent))
    ended |= {"dataset": "berka", "profile": "smoke", "recommendations": {"month": "2015-07"}}
    assert _looked_at(ended, tmp_path / "my home")[3:] == [
        "  finai ui --dataset berka --profile smoke --home 'my home'  the Dagster UI on http://127.0.0.1:3000",
        "  finai reasons CUSTOMER --dataset berka --profile smoke --home 'my home'  one customer's list, as customer, banker and "
        "auditor read it",
    ]
