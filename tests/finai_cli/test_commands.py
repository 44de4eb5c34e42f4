"""Commands that need no run: help, configuration, registry, doctor; and errors without a stack trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def finai(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FINAI_HOME": str(home), "COLUMNS": "160"}
    command = [sys.executable, "-m", "finai_cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


def test_help_names_every_command(tmp_path: Path) -> None:
    ended = finai("--help", home=tmp_path)
    assert ended.returncode == 0
    for command in (
        "run",
        "generate",
        "config",
        "features",
        "sql",
        "doctor",
        "promote",
        "approve",
        "rollback",
        "bundles",
        "score",
        "splits",
    ):
        assert command in ended.stdout


def test_config_show_prints_the_merged_layers(tmp_path: Path) -> None:
    merged = json.loads(finai("config", "show", "--profile", "smoke", "--json", home=tmp_path).stdout)
    assert merged["profile"] == "smoke"
    assert merged["generator"]["customers"] == 500


def test_features_list_counts_1211_columns_in_17_groups(tmp_path: Path) -> None:
    rows = json.loads(finai("features", "list", "--json", home=tmp_path).stdout)
    assert len(rows) == 1211
    assert len({row["group"] for row in rows}) == 17
    assert not any(row["unavailable"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--dataset", "nowhere"), "there is no data set 'nowhere'"),
        (("run", "--profile", "huge"), "there is no profile 'huge'"),
        (("run", "--dataset", "berka"), "FINAI_SOURCE"),
        (("features", "show", "agee"), "did you mean age"),
        (("recheck", "--month", "May"), "'May' is not a month"),
        (("features", "list", "--group", "nope"), "there is no feature group 'nope'"),
        (("sql",), "no question is given"),
        (("sql", "SELECT 1", "--tables"), "exclude each other"),
        (("sql", "SELECT 1"), "the folder holds no lake"),
    ],
)
def test_a_mistake_is_one_clear_text_and_exit_code_1(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = finai(*arguments, home=tmp_path)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_the_doctor_finds_nothing_wrong_here_and_a_damaged_file_there(tmp_path: Path) -> None:
    assert finai("doctor", home=tmp_path).returncode == 0
    from finai_resources.lake import Lake

    lake = Lake.on_disk(tmp_path / "lake")
    with lake.write("raw/products") as out:
        out.put("x.bin", b"12345678")
    next(path for path in Path(lake.folder("raw/products", None)).iterdir() if path.suffix == ".bin").write_bytes(b"x")
    ended = finai("doctor", "--json", home=tmp_path)
    assert ended.returncode == 1
    assert any("its manifest says 8" in finding["found"] for finding in json.loads(ended.stdout))


def test_the_deep_doctor_names_a_flipped_bit_in_each_part_of_a_home(tmp_path: Path) -> None:
    from finai_resources.chained_log import ChainedLog
    from finai_resources.lake import Lake

    lake = Lake.on_disk(tmp_path / "lake")
    with lake.write("raw/products") as out:
        out.put("x.bin", b"12345678")
    ChainedLog(lake, "evidence").append_all({"n": n} for n in range(3))
    bundle = tmp_path / "bundles" / "0f"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text('{"files": {"rules.json": {"sha256": "00"}}}')
    (bundle / "rules.json").write_text("{}")
    (tmp_path / "summary.json").write_text("{")
    record = tmp_path / "lake" / "checks" / "a" / "raw" / "products" / "whole.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"check": "a", "content_hash": "", "passed": true, "sequence": 0, "recorded_at": ""}')
    for file in (next((tmp_path / "lake" / "raw").rglob("x-*.bin")), tmp_path / "lake" / "evidence" / "000000001.json"):
        content = bytearray(file.read_bytes())
        content[-2] ^= 1
        file.write_bytes(content)
    assert finai("doctor", home=tmp_path).returncode == 0  # of their sizes nothing is wrong
    ended = finai("doctor", "--deep", "--json", home=tmp_path)
    assert ended.returncode == 1
    wrong = {finding["subject"]: finding for finding in json.loads(ended.stdout) if finding["verdict"] == "wrong"}
    assert set(wrong) == {"lake", "evidence", "record of a check", "bundle", "summary.json"}
    assert "hash is not the one in its manifest" in wrong["lake"]["found"]
    assert all(finding["fix"] for finding in wrong.values())
