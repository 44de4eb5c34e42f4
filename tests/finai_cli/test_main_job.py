"""The main job as a user runs it: whole, resumable, and idle when nothing changed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest

from finai_assets.features.state import load_states
from finai_assets.settings.features import FeatureGroupSettings
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.warehouse import Warehouse
from serving_lambda.filters import NOTHING_SUITABLE, STOP_CODES

ROOT = Path(__file__).resolve().parent.parent.parent
FINAI = [sys.executable, "-m", "finai_cli.main"]
CUSTOMERS = 500


def finai(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FINAI_HOME": str(home), "FINAI_PROFILE": "smoke", "COLUMNS": "200"}
    return subprocess.run([*FINAI, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smoke")
    ended = finai("run", home=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@pytest.fixture(scope="module")
def summary(home: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((home / "summary.json").read_text(encoding="utf-8"))
    return loaded


pytestmark = pytest.mark.slow


def test_it_ends_with_thirteen_tasks_a_bundle_and_recommendations(summary: dict[str, Any], home: Path) -> None:
    assert len(summary["tasks"]) == 13
    assert summary["columns"]["available"] == 1211
    assert summary["columns"]["declared"] == 1211
    assert len(summary["groups"]) == 17
    assert summary["checks"]["failed"] == 0
    assert summary["checks"]["missing"] == 0
    assert Path(home, summary["bundle"]["folder"], "manifest.json").exists()


def test_every_task_is_told_beside_its_baselines_and_ceiling(summary: dict[str, Any], home: Path) -> None:
    for name, task in summary["tasks"].items():
        test = task["evaluation"]["test"]["metrics"]
        assert {"prior", "lightgbm_raw", "lightgbm_all", "shared_bottom", "teacher"} <= set(test), name
        assert task["route"] in {"DISTILL", "DIRECT", "SKIP"}
    assert "ceiling" in summary["tasks"]["will_acquire_deposits"]["evaluation"]["test"]["metrics"]
    assert "Lists beside their rivals" in Path(home, summary["lists_page"]).read_text(encoding="utf-8")
    assert "Trees win in" in Path(home, summary["evaluation_report"]).read_text(encoding="utf-8")


def test_every_customer_of_the_month_gets_ranked_products_with_a_korean_reason_or_a_code_of_why_not(
    summary: dict[str, Any], home: Path
) -> None:
    lake = Lake.on_disk(home / "lake")
    month = summary["recommendations"]["month"]
    table = lake.read("recommendations/customers", month)
    customers = lake.read("raw/snapshots", month)["customer_id"]
    decisions = lake.read("recommendations/decisions", month)
    assert decisions["customer_id"].to_pylist() == sorted(customers.to_pylist())
    offered = decisions.filter(pc.is_null(decisions["code"]))["customer_id"]
    assert set(table["customer_id"].to_pylist()) == set(offered.to_pylist())
    assert len(offered) > 0
    nothing = summary["recommendations"]["nothing_offered"]
    assert sum(nothing.values()) == len(customers) - len(offered)
    assert summary["recommendations"]["approved"] is False  # nobody promoted the bundle
    assert summary["outcomes"]["month"] == month
    assert summary["outcomes"]["customers"] == summary["customers"]
    assert set(decisions["code"].drop_null().to_pylist()) <= {*STOP_CODES, NOTHING_SUITABLE}
    assert pc.min(pc.utf8_length(table["reason_ko"])).as_py() > 10
    hangul = table["reason_ko"].to_pylist()[0]
    assert any("가" <= letter <= "힣" for letter in hangul)
    assert set(table["layer"].to_pylist()) <= {1, 2, 3}


def test_the_lake_and_the_matrix_hold_every_group(summary: dict[str, Any], home: Path) -> None:
    lake = Lake.on_disk(home / "lake")
    stored = {path.name for path in Path(lake.root, "features").iterdir()}
    assert stored == set(summary["groups"])
    matrix = json.loads(lake.read_bytes("teacher/training_matrix", None, "matrix.json"))
    assert len(matrix["columns"]) == 1211


def test_the_reasons_of_a_customer_are_told_as_they_were_stored(summary: dict[str, Any], home: Path) -> None:
    lake = Lake.on_disk(home / "lake")
    month = summary["recommendations"]["month"]
    table = lake.read("recommendations/customers", month)
    customer = table["customer_id"][0].as_py()
    stored = [row for row in table.to_pylist() if row["customer_id"] == customer]
    ended = finai("reasons", str(customer), "--json", home=home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert told["nothing_offered"] is None
    assert [entry["product"] for entry in told["products"]] == [row["product"] for row in stored]
    for entry, row in zip(told["products"], stored, strict=True):
        assert entry["reason"] == {"ko": row["reason_ko"], "en": row["reason_en"]}
        assert isinstance(entry["disclosures"], list)
        assert entry["carried"] == pytest.approx(row["carried"], abs=1e-6)
        assert [driver["column"] for driver in entry["drivers"]] == [of["column"] for of in row["attributions"]]
    decisions = lake.read("recommendations/decisions", month)
    (decided,) = decisions.filter(pc.equal(decisions["customer_id"], customer)).to_pylist()
    assert told["channels"] == decided["channels"]
    silent = decisions.filter(pc.is_valid(decisions["code"])).slice(0, 1).to_pylist()[0]
    ended = finai("reasons", str(silent["customer_id"]), home=home)
    assert ended.returncode == 0
    assert silent["code"] in ended.stdout
    ended = finai("reasons", "1", home=home)
    assert ended.returncode == 1
    assert "there is no customer 1" in ended.stderr
    ended = finai("reasons", str(customer), "--month", "2015-02", home=home)
    assert (ended.returncode, f"scored are {month}" in ended.stderr) == (1, True), ended.stderr


def test_a_second_run_does_nothing(home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (home / "lake").rglob("_manifest.json")}
    started = time.monotonic()
    ended = finai("run", home=home)
    assert ended.returncode == 0
    assert "everything was up to date" in ended.stdout
    assert time.monotonic() - started < 60
    assert {path: path.stat().st_mtime_ns for path in (home / "lake").rglob("_manifest.json")} == before


def test_a_dry_run_says_that_nothing_is_to_do(home: Path) -> None:
    ended = finai("run", "--dry-run", home=home)
    assert ended.returncode == 0
    assert "Features: 0 of 7 runs" in ended.stdout


def test_a_run_killed_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    environment = {**os.environ, "FINAI_HOME": str(tmp_path), "FINAI_PROFILE": "smoke"}
    process = subprocess.Popen([*FINAI, "run"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    lake = tmp_path / "lake"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (lake / "raw/snapshots/month=2014-06/_manifest.json").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in lake.rglob("raw/**/_manifest.json")}
    assert done
    ended = finai("run", "--dry-run", home=tmp_path)
    assert "Source and catalogue: 0 of 1 runs" in ended.stdout
    left = next(line for line in ended.stdout.splitlines() if line.startswith("Raw tables"))
    assert 0 < int(left.split()[2]) < 20


def test_every_group_spans_more_than_one_direction_on_generated_customers(home: Path) -> None:
    """A floor for each group: far below what it has, far above what a degenerate one would have."""
    states = load_states(LakeSession(Lake.on_disk(home / "lake")), FeatureGroupSettings.names())
    floors = dict.fromkeys(FeatureGroupSettings.names(), 3.0) | {
        "derived_temporal": 2.0, "mamba_temporal": 8.0, "merchant_hierarchy": 8.0, "graph_collaborative": 5.0,
        "txn_lag_tensor": 100.0,
    }  # fmt: skip
    spans = {name: state.meta["effective_rank"] for name, state in states.items()}
    assert {name: rank for name, rank in spans.items() if rank < floors[name]} == {}


def test_every_check_has_left_evidence_and_the_chain_holds(home: Path, summary: dict[str, Any]) -> None:
    ended = finai("evidence", "verify", home=home)
    assert ended.returncode == 0, ended.stdout
    count = int(ended.stdout.split()[0].replace(",", ""))
    assert count >= sum(summary["checks"][verdict] for verdict in ("passed", "warned", "failed"))


def test_a_recheck_computes_nothing_and_a_damaged_month_fails_by_name(home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (home / "lake/features").rglob("_manifest.json")}
    ended = finai("recheck", "--month", "2015-01", "--json", home=home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = json.loads(ended.stdout)
    assert {row["check"] for row in results} == {"C01", "C02", "C05", "C06", "C09", "C17", "C45", "C46"}
    assert all(row["asset"].endswith("@2015-01") for row in results)
    assert {path: path.stat().st_mtime_ns for path in (home / "lake/features").rglob("_manifest.json")} == before
    lake = Lake.on_disk(home / "lake")
    table = lake.read("features/txn_behavior", "2015-01")
    spoiled = table.set_column(1, table.schema.field(1), pc.add(table.column(1), 1.0).cast(table.schema.field(1).type))
    try:
        with lake.write("features/txn_behavior", "2015-01") as out:
            out.write(spoiled)
        ended = finai("recheck", "--month", "2015-01", "--check", "C09", home=home)
        assert ended.returncode == 1
        assert "features/txn_behavior@2015-01" in ended.stdout
        assert "txn_count_monthly_mean" in ended.stdout
    finally:
        finai("run", home=home)
    assert finai("recheck", "--month", "2015-01", "--check", "C09", home=home).returncode == 0


def test_a_check_or_an_anchor_that_does_not_exist_is_refused_in_one_text(home: Path) -> None:
    ended = finai("recheck", "--check", "C99", home=home)
    assert ended.returncode == 1
    assert "there is no check 'C99'" in ended.stderr
    ended = finai("evidence", "verify", "--anchor", "12", home=home)
    assert ended.returncode == 1
    assert "COUNT:HASH" in ended.stderr


def test_a_column_shows_its_statistics_by_month(home: Path) -> None:
    ended = finai("features", "show", "age", "--json", home=home)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert shown["group"] == "demographics"
    assert 15 < shown["2015-01"]["mean"] < 90


def test_the_warehouse_has_a_view_for_every_table(home: Path) -> None:
    with duckdb.connect(str(home / "finai.duckdb"), read_only=True) as connection:
        ((count,),) = connection.execute("SELECT count(DISTINCT month) FROM features.demographics").fetchall()
        views = {f"{schema}.{name}" for _, schema, name, *_ in connection.sql("SHOW ALL TABLES").fetchall()}
    assert count == 7
    assert {"raw.snapshots", "labels.churn_signal", "teacher.predictions", "recommendations.customers"} <= views
    assert {"truth.churn_signal", "evidence.log"} <= views


def test_an_interrupted_run_says_so_without_a_stack_trace(tmp_path: Path) -> None:
    environment = {**os.environ, "FINAI_HOME": str(tmp_path), "FINAI_PROFILE": "smoke"}
    process = subprocess.Popen(
        [*FINAI, "run"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (tmp_path / "lake/raw/snapshots/month=2014-03/_manifest.json").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; finished assets are kept" in output
    assert "Traceback" not in output


# ---- docs/ask-the-lake-in-sql.md: every question of the page, as it stands, against figures computed without SQL


def _questions() -> dict[str, str]:
    page = (ROOT / "docs" / "ask-the-lake-in-sql.md").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for section in page.split("\n## ")[1:]:
        for block in re.findall(r"^```sql\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE):
            heading = section.partition("\n")[0]
            assert heading not in found, "one question under each heading"
            found[heading] = block
    return found


def _by_segment(lake: Lake, rows: list[dict[str, Any]]) -> None:
    table = lake.read("raw/snapshots", "2015-06")
    counted = table.group_by("segment").aggregate([("customer_id", "count"), ("income", "mean")]).to_pylist()
    expected = {row["segment"]: (row["customer_id_count"], pytest.approx(row["income_mean"])) for row in counted}
    found = {r["segment"]: (r["customers"], r["mean_income"]) for r in rows if r["month"] == "2015-06"}
    assert found == expected
    assert {row["month"] for row in rows} == {"2015-05", "2015-06", "2015-07", "2015-08"}
    assert all(1 < row["products_held"] < 24 for row in rows)


def _feature(lake: Lake, rows: list[dict[str, Any]]) -> None:
    assert [row["month"] for row in rows] == lake.partitions("features/txn_rolling_stats")
    for row in rows:
        table = lake.read("features/txn_rolling_stats", row["month"], columns=["roll_mean_7d"])
        values = table["roll_mean_7d"].to_numpy().astype(np.float64)
        assert row["customers"] == len(values)
        assert row["missing"] == pytest.approx(np.isnan(values).mean())
        assert row["mean"] == pytest.approx(np.nanmean(values))
    assert 0 < max(row["missing"] for row in rows) < 0.5


def _base_rates(lake: Lake, rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 3 * 7
    for row in rows:
        label = pc.drop_null(lake.read(f"labels/{row['task']}", row["month"])["label"]).to_numpy()
        assert row["customers"] == len(label)
        assert row["base_rate"] == pytest.approx(label.mean())
    assert 0 < np.mean([row["base_rate"] for row in rows]) < 0.5


def _acquired(lake: Lake, rows: list[dict[str, Any]]) -> None:
    names = dict(zip(*(lake.read("raw/products")[c].to_pylist() for c in ("product_id", "name")), strict=True))
    before, after = (
        dict(zip(*(lake.read("raw/snapshots", month)[c].to_pylist() for c in ("customer_id", "held")), strict=True))
        for month in ("2015-07", "2015-08")
    )
    new = {(c, product) for c in before.keys() & after.keys() for product in set(after[c]) - set(before[c])}
    table = lake.read("recommendations/customers", "2015-07")
    shown = set(zip(table["customer_id"].to_pylist(), table["product_id"].to_pylist(), strict=True))
    expected = {
        name: tuple(sum(product == of for _, of in pairs) for pairs in (shown, new, shown & new))
        for product, name in names.items()
    }
    assert {r["name"]: (r["recommended"], r["acquired"], r["acquired_as_recommended"]) for r in rows} == expected
    assert sum(row["recommended"] for row in rows) == table.num_rows
    assert sum(row["acquired_as_recommended"] for row in rows) > 0


def _one_customer(lake: Lake, rows: list[dict[str, Any]]) -> None:
    table = lake.read("recommendations/customers", "2015-07")
    first = table.filter(pc.equal(table["customer_id"], pc.min(table["customer_id"]))).sort_by("rank").to_pylist()
    for name in ("rank", "product", "score", "layer", "reason_en"):
        assert [row[name] for row in rows] == [row[name] for row in first], name
    for row, stored in zip(rows, first, strict=True):
        strongest = max(stored["attributions"], key=lambda each: abs(each["contribution"]), default=None)
        assert row["contribution"] == (strongest and strongest["contribution"])
        assert row["strongest_column"] == (strongest and strongest["column"])


def _checks(lake: Lake, rows: list[dict[str, Any]]) -> None:
    entries = [entry.record for entry in ChainedLog(lake, "evidence").entries()]
    counted = Counter((record["check"], record["name"]) for record in entries)
    failed = Counter((record["check"], record["name"]) for record in entries if not record["passed"])
    found = {(row["check"], row["name"]): (row["results"], row["failed"]) for row in rows}
    assert found == {key: (n, failed[key]) for key, n in counted.items()}


ORACLES: dict[str, Callable[[Lake, list[dict[str, Any]]], None]] = {
    "Customers by segment and month": _by_segment,
    "A feature over months": _feature,
    "Base rates of labels": _base_rates,
    "Recommended and acquired": _acquired,
    "One customer's recommendations": _one_customer,
    "What checks found": _checks,
}


def test_every_question_of_the_page_is_compared_with_something() -> None:
    assert set(_questions()) == set(ORACLES)


@pytest.mark.parametrize("heading", ORACLES)
def test_a_question_of_the_page_is_answered_as_without_sql(home: Path, heading: str) -> None:
    lake = Lake.on_disk(home / "lake")
    rows = Warehouse(LakeSession(lake)).query(_questions()[heading]).to_pylist()
    assert rows
    ORACLES[heading](lake, rows)
