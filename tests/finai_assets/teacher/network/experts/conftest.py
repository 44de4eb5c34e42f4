"""What the tests of every expert share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from finai_assets.settings import load_settings
from finai_assets.settings.method import TeacherSettings


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small operations on two threads wait for each other more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def chosen() -> TeacherSettings:
    return load_settings("synthetic", "demo").teacher
