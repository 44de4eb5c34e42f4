"""``finai splits propose`` tells the next splits beside those in use, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from going_on import SPANS, deliver
from typer.testing import CliRunner, Result

from finai_assets.asset_graph import SNAPSHOTS
from finai_cli.main import app
from finai_resources.lake import Lake
from tests.finai_assets.ingest.tables.test_berka import write_czech

MONTHS = ("1993-01", "1993-02", "1993-03", "1993-04", "1993-05", "1993-06")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bank").mkdir()
    (tmp_path / "config" / "datasets").mkdir(parents=True)
    (tmp_path / "config" / "datasets" / "berka.yaml").write_text(yaml.safe_dump({"dataset": SPANS}), encoding="utf-8")
    deliver(write_czech(tmp_path / "bank"), *MONTHS[3:])
    lake = Lake.on_disk(tmp_path / "home" / "lake")
    for at, month in enumerate(MONTHS):
        with lake.write(SNAPSHOTS, month, code_version="1") as out:
            out.write(pa.table({"customer_id": list(range(at + 1))}))
    monkeypatch.setenv("FINAI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def propose(root: Path, *arguments: str) -> Result:
    where = ["-d", "berka", "-p", "demo", "--home", str(root / "home"), "--source", str(root / "bank")]
    return CliRunner().invoke(app, ["splits", "propose", *arguments, *where])


def test_without_a_new_month_those_in_use_are_the_next(root: Path) -> None:
    ended = propose(root)
    assert ended.exit_code == 0, ended.output
    assert "the splits in use are the next ones" in ended.output


def test_months_and_rows_of_both_are_told_and_the_yaml_to_paste(root: Path) -> None:
    deliver(root / "bank", "1993-07", "1993-08")
    before = sorted(path for path in root.rglob("*") if "cache" not in path.parts)
    found = json.loads(propose(root, "--json").output)
    assert found["changed"]
    assert found["now"]["train"] == {"first": "1993-01", "last": "1993-01", "months": 1, "rows": 1}
    assert found["next"]["train"] == {"first": "1993-01", "last": "1993-03", "months": 3, "rows": 1 + 2 + 3}
    assert found["next"]["test"]["rows"] is None  # 1993-07 is not loaded yet
    shown = propose(root).output
    assert "not stored" in shown
    assert shown.endswith(found["yaml"])
    assert "    test: [1993-07, 1993-07]\n" in found["yaml"]
    assert sorted(path for path in root.rglob("*") if "cache" not in path.parts) == before


def test_a_home_that_holds_nothing_is_refused(root: Path) -> None:
    ended = CliRunner().invoke(app, ["splits", "propose", "-d", "berka", "--home", str(root / "none")])
    assert ended.exit_code == 1
    assert "there is no home in this folder" in str(ended.exception)
