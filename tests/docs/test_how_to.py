"""Each answer of the page about mapping tables, laid over a whole data set, is accepted by the models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from bank_files import korean_card_files
from pages import blocks_of

from finai_assets.ingest.tables.guess.draft import draft
from finai_assets.settings import load_settings
from finai_assets.settings.folders import CONFIG_VARIABLE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to-map-your-tables.md"
QUESTIONS = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
ANSWERS = blocks_of(PAGE)


def test_every_question_has_one_answer() -> None:
    assert len(QUESTIONS) == len(ANSWERS) == 8
    assert {block.kind for block in ANSWERS} == {"yaml"}


@pytest.mark.parametrize("at", range(len(ANSWERS)), ids=QUESTIONS)
def test_an_answer_laid_over_a_draft_is_a_data_set(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load(draft("mybank", korean_card_files(tmp_path / "source"), currency="KRW").text)
    content["products"].append({**content["products"][0], "code": "fund", "name": "Fund"})
    merged = laid_over(content, yaml.safe_load(ANSWERS[at].text))
    file = tmp_path / "own" / "datasets" / "mybank.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(merged, allow_unicode=True), encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "own"))
    bring_adapter(tmp_path / "site", "corebank")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert load_settings("mybank", "smoke").dataset.name == "mybank"


def bring_adapter(site: Path, name: str) -> None:
    """Write a distribution that brings an adapter by its entry point."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[finai.adapters]\n{name} = {name}_of_test:Adapter\n", encoding="utf-8")
    (site / f"{name}_of_test.py").write_text("class Adapter:\n    pass\n", encoding="utf-8")


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping laid over another; a null takes its key away, and what names categories or days replaces them whole."""
    merged = dict(below)
    for key, value in above.items():
        if value is None:
            merged.pop(key, None)
        elif (
            value and isinstance(value, dict) and isinstance(merged.get(key), dict) and key not in {"codes", "computed"}
        ):
            merged[key] = laid_over(merged[key], value)
        else:
            merged[key] = value
    return merged
