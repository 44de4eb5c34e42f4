"""A wrong key or value is one error that names the file, the path, what was found, and what is allowed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from finai_assets.settings import CONFIG_FOLDER, available_datasets, load_settings
from finai_resources.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG_FOLDER, tmp_path / "configs"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("dataset", available_datasets())
@pytest.mark.parametrize("profile", ["smoke", "demo"])
def test_every_shipped_data_set_is_valid(dataset: str, profile: str) -> None:
    assert load_settings(dataset, profile).dataset.name == dataset


def test_an_unknown_key_names_its_file_its_path_and_the_likely_one(folder: Path) -> None:
    edit(folder / "pipeline.yaml", "gap_days:", "gap_dayz:")
    with pytest.raises(ConfigError) as raised:
        load_settings(folder=folder)
    text = str(raised.value)
    assert "pipeline.yaml" in text
    assert "gap_dayz" in text
    assert "did you mean 'gap_days'?" in text or "gap_days" in text


def test_a_wrong_type_names_what_was_found_and_what_is_needed(folder: Path) -> None:
    edit(folder / "pipeline.yaml", "  epochs: 10", "  epochs: many")
    with pytest.raises(ConfigError, match=r"pipeline\.yaml: teacher\.epochs: found 'many'") as raised:
        load_settings(folder=folder)
    assert "integer" in str(raised.value)


def test_a_gap_under_seven_days_is_refused(folder: Path) -> None:
    edit(folder / "pipeline.yaml", "gap_days: 30", "gap_days: 3")
    with pytest.raises(ConfigError, match=r"gap_days: found 3") as raised:
        load_settings(folder=folder)
    assert "7" in str(raised.value)


@pytest.mark.parametrize(
    ("share", "path"), [("[11, 10]", "tasks.churn_signal.share"), ("[0, 10]", r"tasks\.churn_signal\.share\.0")]
)
def test_a_share_that_is_none_is_refused(folder: Path, share: str, path: str) -> None:
    edit(folder / "pipeline.yaml", "share: [7, 10]", f"share: {share}")
    with pytest.raises(ConfigError, match=rf"pipeline\.yaml: {path}: found") as raised:
        load_settings(folder=folder)
    assert "at most 1" in str(raised.value) or "greater than" in str(raised.value)


def test_an_error_in_the_data_set_names_the_data_set_file(folder: Path) -> None:
    edit(folder / "datasets" / "synthetic.yaml", "family: deposit,", "family: deposits,")
    with pytest.raises(ConfigError, match="deposits"):
        load_settings(folder=folder)


def test_a_file_that_is_not_yaml_is_named(folder: Path) -> None:
    (folder / "pipeline.yaml").write_text("a: [1, 2\nb: 3", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"pipeline\.yaml: this is not YAML"):
        load_settings(folder=folder)


def test_an_unknown_data_set_or_profile_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="synthetic"):
        load_settings("nowhere")
    with pytest.raises(ConfigError, match="demo"):
        load_settings("synthetic", "huge")


def test_the_later_layer_wins_and_the_profile_comes_last() -> None:
    assert load_settings("synthetic", "smoke").teacher.epochs < load_settings("synthetic", "demo").teacher.epochs
    assert load_settings("synthetic", "demo", overrides={"teacher": {"epochs": 2}}).teacher.epochs == 2


def test_a_digest_changes_with_its_own_sections_only() -> None:
    one, other = load_settings(), load_settings(overrides={"teacher": {"epochs": 2}})
    assert one.digest("students") == other.digest("students")
    assert one.digest("teacher") != other.digest("teacher")


@pytest.mark.parametrize(
    ("offering", "named"),
    [
        ({"quiet_hours": [21, 21]}, "quiet_hours begin when they end"),
        ({"quiet_hours": [21, 24]}, "24"),
        ({"messages": {"most": 0}}, "most"),
        ({"messages": {"days": 60}}, "days"),
        ({"senior": {"riskiest_grade": 7}}, "riskiest_grade"),
        ({"profile_classes": ["funds"]}, "funds"),
        ({"outbound": ["fax"]}, "fax"),
    ],
)
def test_a_policy_of_offering_that_means_nothing_is_refused(offering: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_settings(overrides={"offering": offering})


def test_a_product_that_matures_at_another_time_than_its_terms_say_is_refused(folder: Path) -> None:
    edit(
        folder / "datasets" / "synthetic.yaml", "rate_high: 1.9, period_months: 12", "rate_high: 1.9, period_months: 13"
    )
    with pytest.raises(ConfigError) as raised:
        load_settings(folder=folder)
    assert "time_deposit has terms.period_months 13, but the generator lets it mature after 12 months" in str(
        raised.value
    )


def test_bands_and_the_bounds_that_cut_them_agree(folder: Path) -> None:
    edit(folder / "datasets" / "synthetic.yaml", "band_bounds: [-0.1, 0.9, 1.6]", "band_bounds: [-0.1, 0.9]")
    with pytest.raises(ConfigError, match="one bound fewer than there are"):
        load_settings(folder=folder)


def test_a_key_that_is_missing_is_named_by_its_path(folder: Path) -> None:
    edit(folder / "pipeline.yaml", "gap_days: 30", "")
    with pytest.raises(ConfigError, match=r"gap_days: the key 'gap_days' is missing"):
        load_settings(folder=folder)
