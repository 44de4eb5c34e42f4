"""``finai sql``: answers as tables and as JSON, from a lake on disk and in S3, and nothing but answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from dagster_aws.s3 import S3Resource
from moto.server import ThreadedMotoServer

from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


def fill(lake: Lake) -> None:
    for month, rows in (("2015-01", 3), ("2015-02", 4)):
        with lake.write("raw/snapshots", month) as out:
            out.write(
                pa.table(
                    {
                        "customer_id": pa.array(range(1499567594775225, 1499567594775225 + rows)),
                        "segment": ["mass", "[red]plus", None, "private"][:rows],
                        "income": [1.5, float("nan"), 3.0, None][:rows],
                        "held": [[0, 1]] * rows,
                    }
                )
            )
    with lake.write("raw/products") as out:
        out.write(pa.table({"product_id": list(range(24)), "name": ["x" * 500] * 24}))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    fill(Lake.on_disk(folder / "lake"))
    return folder


@pytest.fixture(scope="module")
def remote() -> Iterator[dict[str, str]]:
    """Return the environment that leads to a filled lake in S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, **KEYS).create_bucket(Bucket="finai-test")
    root = "s3://finai-test/lake"
    fill(LakeResource(root=root, s3=S3Resource(endpoint_url=endpoint, **KEYS)).open())
    yield {
        "FINAI_LAKE": root,
        "FINAI_S3_ENDPOINT": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    server.stop()


def ask(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    chosen = {**os.environ, "FINAI_HOME": str(home), "FINAI_PROFILE": "smoke", "COLUMNS": "60", **environment}
    command = [sys.executable, "-m", "finai_cli.main", "sql", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=chosen, cwd=ROOT)


def test_an_answer_is_printed_whole_and_nothing_else_is(home: Path) -> None:
    ended = ask(home, "SELECT * FROM raw.snapshots ORDER BY month, customer_id")
    assert ended.returncode == 0
    assert ended.stderr == ""
    lines = ended.stdout.strip().splitlines()
    assert lines[0].split() == ["month", "customer_id", "segment", "income", "held"]
    assert lines[2].split() == ["2015-01", "1499567594775225", "mass", "1.5", "[0,", "1]"]
    assert lines[3].split()[2:4] == ["[red]plus", "null"]
    assert len(lines) == 2 + 7


def test_rows_that_are_not_shown_are_counted_and_long_texts_cut(home: Path) -> None:
    ended = ask(home, "FROM raw.products ORDER BY product_id", "--rows", "2")
    assert "22 of 24 rows are not shown" in ended.stdout
    assert "x" * 500 not in ended.stdout
    assert "…" in ended.stdout


def test_json_has_every_row_and_value(home: Path) -> None:
    question = (
        "SELECT product_id, name, sum(product_id) OVER () AS total, product_id AS name FROM raw.products ORDER BY 1"
    )
    ended = ask(home, question, "--json", "--rows", "2")
    assert ended.returncode == 0
    rows = json.loads(ended.stdout)
    assert len(rows) == 24
    assert rows[3] == {"product_id": 3, "name": "x" * 500, "total": 276, "name_1": 3}
    values = json.loads(
        ask(home, "SELECT income, held FROM raw.snapshots ORDER BY month, customer_id", "--json").stdout
    )
    assert [row["income"] for row in values[:3]] == [1.5, None, 3.0]
    assert values[0]["held"] == [0, 1]


def test_the_tables_are_listed_with_rows_and_months(home: Path) -> None:
    ended = ask(home, "--tables")
    assert ["raw.snapshots", "7", "2015-01..2015-02", "(2)"] in [line.split() for line in ended.stdout.splitlines()]
    assert json.loads(ask(home, "--tables", "--json").stdout) == [
        {"table": "raw.products", "rows": 24, "months": []},
        {"table": "raw.snapshots", "rows": 7, "months": ["2015-01", "2015-02"]},
    ]


def test_a_lake_in_s3_is_asked_the_same(tmp_path: Path, home: Path, remote: dict[str, str]) -> None:
    for arguments in (("SELECT * FROM raw.snapshots ORDER BY ALL", "--json"), ("--tables", "--json")):
        there, here = ask(tmp_path, *arguments, **remote), ask(home, *arguments)
        assert there.returncode == 0, there.stderr
        assert json.loads(there.stdout) == json.loads(here.stdout)


def test_what_changes_something_is_refused_in_one_text(home: Path, tmp_path: Path) -> None:
    stolen = tmp_path / "stolen.csv"
    ended = ask(home, f"COPY raw.products TO '{stolen}'")
    assert ended.returncode == 1
    assert "the statement does more than read" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert ended.stdout == ""
    assert not stolen.exists()
