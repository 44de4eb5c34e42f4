"""An installed package brings an adapter by an entry point, and the data set names it as if it were shipped."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.ingest.adapter import open_adapter
from finai_assets.platform import Platform
from finai_assets.settings import CONFIG_FOLDER, load_settings
from finai_assets.settings.adapters import known_adapters
from finai_assets.settings.folders import CONFIG_VARIABLE, lay_over
from finai_assets.source import forget
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

CODE = """
LIMIT = 1


class BankAdapter:
    def __init__(self, settings, key, session):
        self.name = settings.dataset.name

    def months(self):
        return [LIMIT]
"""


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of an adapter that a fake distribution on the path brings, and name it in an own data set."""
    site = tmp_path / "site"
    info = site / "bank_adapter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bank-adapter\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[finai.adapters]\nbank = bank_adapter:BankAdapter\n", encoding="utf-8")
    (site / "bank_adapter.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "bank_adapter", raising=False)  # of the test before
    shipped = yaml.safe_load((CONFIG_FOLDER / "datasets" / "berka.yaml").read_text(encoding="utf-8"))
    own = lay_over(shipped, {"dataset": {"name": "mybank", "adapter": "bank", "unknown_mcc": "other"}, "tables": None})
    (tmp_path / "configs" / "datasets").mkdir(parents=True)
    (tmp_path / "configs" / "datasets" / "mybank.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "configs"))
    return site / "bank_adapter.py"


def test_an_adapter_of_an_installed_package_is_opened_by_its_name(bank: Path, lake: Lake) -> None:
    assert bank.is_file()
    opened = open_adapter(load_settings("mybank", "smoke"), b"key", LakeSession(lake))
    assert opened.name == "mybank"
    assert opened.months() == [1]


def test_a_change_of_its_code_is_another_code_version(bank: Path) -> None:
    graph = Platform.of(load_settings("mybank", "smoke")).graph
    before = graph.code_version(SNAPSHOTS)
    bank.write_text(CODE.replace("LIMIT = 1", "LIMIT = 2"), encoding="utf-8")
    forget()
    assert graph.code_version(SNAPSHOTS) != before
    forget()


def test_an_unknown_adapter_names_the_near_one(bank: Path, tmp_path: Path) -> None:
    file = tmp_path / "configs" / "datasets" / "mybank.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("adapter: bank", "adapter: bnak"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"dataset\.adapter: found 'bnak'") as raised:
        load_settings("mybank", "smoke")
    assert "did you mean bank?" in str(raised.value)
    assert bank.parent.name not in str(raised.value)


def test_an_adapter_that_cannot_be_imported_is_one_error_that_names_its_path(bank: Path, lake: Lake) -> None:
    settings = load_settings("mybank", "smoke")
    info = next(bank.parent.glob("*.dist-info"))
    (info / "entry_points.txt").write_text("[finai.adapters]\nbank = bank_adapter:Gone\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be imported") as raised:
        open_adapter(settings, b"key", LakeSession(lake))
    assert "bank_adapter:Gone" in str(raised.value)


def test_an_adapter_may_not_take_the_name_of_another(bank: Path) -> None:
    info = next(bank.parent.glob("*.dist-info"))
    (info / "entry_points.txt").write_text("[finai.adapters]\ntables = bank_adapter:BankAdapter\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="two adapters are named 'tables'"):
        known_adapters()
