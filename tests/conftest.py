"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

ROOT = Path(__file__).resolve().parent.parent
# Invariants are about values. An example's seconds depend on kernels that are compiled on first use, and on who else is working.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")
# Two workers of two threads each share two cores: a thread that waits must not spin where another would compute.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.on_disk(tmp_path / "lake")


@pytest.fixture
def secrets(tmp_path: Path) -> SecretStore:
    """Return the keys of a home, made when they are first asked for."""
    return SecretStore(tmp_path / "keys")


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings("synthetic", "smoke")


@pytest.fixture(scope="session")
def berka_dir() -> Path:
    named = os.environ.get("FINAI_BERKA_DIR")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "berka"
    if not (folder / "trans.parquet").exists():
        pytest.skip("the real Berka tables are not at hand; set FINAI_BERKA_DIR to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def anchors_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the anchors of all lakes of this session in a folder of its own, not in the user's."""
    folder = tmp_path_factory.mktemp("anchors")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FINAI_ANCHORS", str(folder))
        yield folder
