"""Any snapshot month is scored by the job that scores the last one; what is wrong with the arguments costs nothing."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml
from going_on import BUNDLE_ID, KEY, LAST, SPANS, deliver, fill, platform_of
from typer.testing import CliRunner, Result

from finai_assets.asset_graph import RECOMMENDATIONS, SCORED_BY, group_asset
from finai_cli import run as module
from finai_cli.execute import Runner
from finai_cli.main import app
from finai_cli.score import stages_of
from finai_resources.lake import Lake
from finai_resources.months import Month
from tests.finai_assets.ingest.tables.test_berka import write_czech


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    (root / "bank").mkdir()
    (root / "config" / "datasets").mkdir(parents=True)
    (root / "config" / "datasets" / "berka.yaml").write_text(yaml.safe_dump({"dataset": SPANS}), encoding="utf-8")
    deliver(write_czech(root / "bank"), "1993-04", "1993-05", LAST)
    fill(platform_of(root), Lake.on_disk(root / "home" / "lake"))
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    monkeypatch.setenv("FINAI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(module, "declared_checks", lambda _: [])
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return tmp_path


def score(root: Path, *arguments: str) -> Result:
    where = ["-d", "berka", "-p", "demo", "--home", str(root / "home"), "--source", str(root / "bank")]
    return CliRunner().invoke(app, ["score", *arguments, *where])


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--month", "1993-09"], "1993-09 is no snapshot month: they are 1993-01..1993-06"),
        (["--month", "1993-09"], "the nearest are 1993-05, 1993-06"),
        (["--month", "1993-13"], "'1993-13' is not a month"),
        (["--month", "1993-04", "--bundle", "champion"], "no bundle is champion yet"),
        (["--month", "1993-04", "--bundle", "chalenger"], "did you mean challenger?"),
        (["--month", "1993-04", "--dry-run", "--bundle", "ffffffffffff"], "there is no bundle 'ffffffffffff'"),
        ([], "Missing option '--month'"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_nothing_is_written(root: Path, arguments: list[str], told: str) -> None:
    before = digests(root / "home")
    ended = score(root, *arguments)
    assert ended.exit_code == 2
    assert told in ended.output
    assert "Traceback" not in ended.output
    assert digests(root / "home") == before


def test_a_home_that_holds_nothing_is_refused(root: Path) -> None:
    shutil.rmtree(root / "home")
    assert score(root, "--month", LAST).exit_code == 1
    assert not (root / "home").exists()


def test_a_month_with_features_needs_its_scores_alone(root: Path) -> None:
    before = digests(root / "home")
    ended = score(root, "--month", "1993-04", "--dry-run")
    assert ended.exit_code == 0, ended.output
    for line in ("Raw tables: 0 of 4 runs", "Features: 0 of 1 runs", "Recommendations: 1 of 1 runs"):
        assert line in ended.output
    assert digests(root / "home") == before


def test_what_the_month_lacks_is_computed_first(root: Path) -> None:
    Lake.on_disk(root / "home" / "lake").delete(group_asset("demographics"), "1993-04")
    assert (
        "Features: 1 of 1 runs\n  1993-04  features/demographics\n"
        in score(root, "--month", "1993-04", "--dry-run").output
    )


def test_the_last_month_is_up_to_date_as_the_main_job_has_scored_it(root: Path) -> None:
    assert "Recommendations: 0 of 1 runs" in score(root, "--month", LAST, "--dry-run").output
    assert "Recommendations: 0 of 1 runs" in score(root, "--month", LAST, "--bundle", "challenger", "--dry-run").output


def test_a_named_bundle_reaches_the_job_by_its_id_and_makes_a_month_of_another_one_stale(root: Path) -> None:
    lake, month = Lake.on_disk(root / "home" / "lake"), Month.parse(LAST)
    made = lake.manifest(RECOMMENDATIONS, LAST)
    with lake.write(
        RECOMMENDATIONS,
        LAST,
        code_version=made.code_version,
        config_hash=made.config_hash,
        upstream=made.upstream,
        extra={SCORED_BY: "another"},
    ) as out:
        out.put("content.json", b"{}")
    platform = platform_of(root)
    scores = stages_of(platform, lake, month, "challenger", replace=True)[-1].units
    assert [(unit.bundle, unit.replace) for unit in scores] == [(BUNDLE_ID, True)]
    config = Runner._op_config(type("Of", (), {"platform": platform})(), scores[0])  # type: ignore[arg-type] # reads the graph
    assert config == {"ops": {"customers": {"config": {"bundle": BUNDLE_ID, "replace": True}}}}
    assert score(root, "--month", LAST, "--dry-run").output.count("Recommendations: 1 of 1 runs") == 1
