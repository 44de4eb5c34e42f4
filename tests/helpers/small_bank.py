"""A home whose three months were loaded from a small bank, for tests of what follows when the bank's tables change."""

from __future__ import annotations

from pathlib import Path

from finai_assets.asset_graph import CATALOGUE_TABLES, SNAPSHOTS
from finai_assets.governance.incidents import Incidents
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext
from finai_checks.framework.run import run_checks
from finai_checks.gates import CheckGates
from finai_checks.schema.checks import SCHEMA_ACCEPTED
from finai_checks.schema.watch import Watched, watch
from finai_resources.errors import GateError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore
from tests.finai_assets.ingest.tables.test_berka import KEY, write_czech

MONTHS = ("1993-01", "1993-02", "1993-03")


class Bank:
    """A home whose three months were loaded from a small bank, and the bank's folder."""

    def __init__(self, root: Path, **policies: str) -> None:
        self.root, self.source = root, root / "bank"
        overrides = {"dataset": {"source": str(self.source)}, "schema_changes": policies}
        self.secrets = SecretStore(root / "home")
        self.platform = Platform.of(load_settings("berka", "demo", overrides=overrides), self.secrets)
        self.lake, self.cache = Lake.on_disk(root / "home" / "lake"), root / "home" / "cache"

    def load(self, *months: str) -> None:
        graph, session = self.platform.graph, LakeSession(self.lake)
        settings = graph.settings_of(SNAPSHOTS, *CATALOGUE_TABLES)
        adapter = open_adapter(settings, KEY, session)
        load_catalogue(adapter, session, settings, **graph.versions(CATALOGUE_TABLES[0]))
        for month in months:
            load_month(adapter, session, Month.parse(month), settings, **graph.versions(SNAPSHOTS))
            self.check(month)

    def check(self, month: str) -> None:
        checks = [each for each in declared_checks(self.platform) if each.kind == SCHEMA_ACCEPTED]
        run_checks(
            [each for each in checks if self.lake.find(each.asset, month)],
            CheckContext(LakeSession(self.lake), self.platform, Month.parse(month)),
        )

    def watch(self) -> Watched:
        return watch(self.platform, self.lake, self.secrets, self.cache)

    def edit(self, table: str, old: str, new: str) -> None:
        file = self.source / f"{table}.asc"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def is_closed(self, asset: str, month: str) -> bool:
        """Return whether this check keeps the gates of an asset closed; others have no record here."""
        try:
            CheckGates(self.platform).demand(self.lake, [(asset, month)])
        except GateError as error:
            return SCHEMA_ACCEPTED.name in str(error)
        return False

    @property
    def incidents(self) -> Incidents:
        return Incidents(self.lake, self.secrets)


def loaded_bank(root: Path) -> Path:
    """Load the three months of a small bank into a home below a folder, and look at its schema once."""
    (root / "bank").mkdir()
    write_czech(root / "bank")
    bank = Bank(root)
    bank.load(*MONTHS)
    assert bank.watch().recorded == ()
    return root
