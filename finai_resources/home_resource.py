"""The home folder as a Dagster resource: keys, checkpoints, and exported bundles."""

from pathlib import Path

import dagster as dg

from finai_resources.secrets import SecretStore


class HomeResource(dg.ConfigurableResource[None]):
    """The folder of one installation on this machine. No key is part of the configuration.

    Attributes
    ----------
    root : str
        The folder.
    """

    root: str

    @property
    def path(self) -> Path:
        """Return the folder."""
        return Path(self.root)

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints, which is created where it is absent."""
        folder = self.path / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def secrets(self) -> SecretStore:
        """Return the keys, from the environment or the folder's private file."""
        return SecretStore(self.path)
