"""The examples in docstrings run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from finai_assets.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("finai_assets", "finai_resources", "finai_checks", "finai_cli", "serving_lambda", "studies", "benchmarks")
EXAMPLES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for file in (ROOT / package).rglob("*.py")
    if ">>>" in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    # What the examples of experts take for granted beside their module's own names.
    given = {"np": np, "torch": torch, "settings": load_settings("synthetic", "smoke").teacher}
    found = doctest.testmod(module, extraglobs=given, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted, "the examples are not where doctest looks for them"
    assert not found.failed, "see the captured output"


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 20
