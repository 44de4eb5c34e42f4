"""Configuration outside the package: found beside the shipped files, laid over them, and never ignored in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from finai_assets.bundle.content import RULES_FILE, read_config
from finai_assets.platform import Platform
from finai_assets.settings import CONFIG_FOLDER, available_datasets, config_folders, load_settings
from finai_assets.settings.folders import CONFIG_VARIABLE, lay_over
from finai_resources.errors import ConfigError


@pytest.fixture
def outer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "datasets").mkdir()
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    return tmp_path


def own_data_set(outer: Path, name: str) -> None:
    shipped = yaml.safe_load((CONFIG_FOLDER / "datasets" / "berka.yaml").read_text(encoding="utf-8"))
    content = lay_over(shipped, {"dataset": {"name": name}})
    (outer / "datasets" / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def test_a_data_set_of_the_outer_folder_stands_beside_the_shipped_ones(outer: Path) -> None:
    own_data_set(outer, "mybank")
    assert {"mybank", "berka", "synthetic"} <= set(available_datasets())
    assert load_settings("mybank", "smoke").dataset.name == "mybank"


def test_every_other_file_is_laid_over_the_shipped_one_of_its_name(outer: Path) -> None:
    shipped = load_settings("synthetic", "smoke")
    (outer / "pipeline.yaml").write_text("students: {max_leaves: 7}\n", encoding="utf-8")
    (outer / "datasets" / "synthetic.yaml").write_text("dataset: {currency: EUR}\n", encoding="utf-8")
    (outer / RULES_FILE).write_text("rules: []\n", encoding="utf-8")
    changed = load_settings("synthetic", "smoke")
    assert changed.students.max_leaves == 7
    assert changed.students.max_megabytes == shipped.students.max_megabytes
    assert (changed.dataset.currency, changed.dataset.name) == ("EUR", "synthetic")
    assert read_config(RULES_FILE)["rules"] == []
    assert "conservative" in read_config(RULES_FILE)


def test_a_file_that_is_laid_over_a_shipped_one_is_part_of_the_config_version(
    outer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(graph_of: Platform) -> str:
        asset = next(path for path in graph_of.graph.paths if graph_of.graph[path].files)
        return graph_of.graph.config_version(asset)

    monkeypatch.delenv(CONFIG_VARIABLE)
    without = version(Platform.of(load_settings("synthetic", "smoke")))
    monkeypatch.setenv(CONFIG_VARIABLE, str(outer))
    assert version(Platform.of(load_settings("synthetic", "smoke"))) == without, "an empty folder changes nothing"
    (outer / RULES_FILE).write_text("{}\n", encoding="utf-8")
    assert version(Platform.of(load_settings("synthetic", "smoke"))) != without


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pipline.yaml", "did you mean pipeline.yaml"),
        ("pipeline.yml", "did you mean pipeline.yaml"),
        ("dataset/mybank.yaml", "did you mean datasets"),
        ("datasets/mybank.yml", "ends in .yaml"),
    ],
)
def test_a_file_that_nothing_would_read_is_refused_with_the_name_that_was_meant(
    outer: Path, name: str, said: str
) -> None:
    (outer / name).parent.mkdir(exist_ok=True)
    (outer / name).write_text("a: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        config_folders()


def test_other_files_of_the_folder_are_nobodys_business(outer: Path) -> None:
    (outer / "README.md").write_text("ours", encoding="utf-8")
    (outer / ".git").mkdir()
    assert config_folders().outer == outer


def test_a_folder_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="there is no folder"):
        load_settings("synthetic", "smoke")


def test_a_wrong_value_names_the_outer_file(outer: Path) -> None:
    (outer / "pipeline.yaml").write_text("gap_days: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="gap_days: found 3") as raised:
        load_settings("synthetic", "smoke")
    assert str(outer / "pipeline.yaml") in str(raised.value)


def test_a_typo_in_the_name_of_a_data_set_names_the_near_one(outer: Path) -> None:
    own_data_set(outer, "mybank")
    with pytest.raises(ConfigError, match=r"did you mean mybank\?"):
        load_settings("mybnak", "smoke")


def test_a_data_set_is_named_as_its_file_is(outer: Path) -> None:
    own_data_set(outer, "mybank")
    (outer / "datasets" / "mybank.yaml").rename(outer / "datasets" / "ourbank.yaml")
    with pytest.raises(ConfigError, match=r"ourbank\.yaml: dataset\.name: found 'mybank'"):
        load_settings("ourbank", "smoke")
