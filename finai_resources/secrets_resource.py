"""The secret store as a Dagster resource."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from finai_resources.secrets import SecretStore


class SecretsResource(dg.ConfigurableResource[None]):
    """Keys from the environment or the private file of a home folder; no key is part of the configuration.

    Attributes
    ----------
    home : str
        The folder that holds ``secrets.json``.
    """

    home: str

    def store(self) -> SecretStore:
        """Return the store."""
        return SecretStore(Path(self.home))
