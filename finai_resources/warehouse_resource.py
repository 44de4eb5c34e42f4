"""The warehouse as a Dagster resource: a ``DuckDBResource`` whose connections show the lake's tables as views."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from dagster_duckdb import DuckDBResource

from finai_resources.errors import LakeError
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.warehouse import MEMORY, SETTINGS, Warehouse, create_views


class WarehouseResource(DuckDBResource):
    """Opens DuckDB on the lake. Each connection is a DuckDB of its own in memory, so that steps never wait for one another.

    Assets ask through :meth:`over`, which records what an answer reads; :meth:`get_connection` is for people.

    Attributes
    ----------
    lake : LakeResource
        Where the tables are.
    database : str
        As for dagster-duckdb.
    connection_config : dict
        Settings of DuckDB; by default those of ``finai_resources.warehouse``.
    """

    lake: LakeResource  # nested resources are found by their real annotation: no postponed evaluation in this module
    database: str = MEMORY
    connection_config: dict[str, Any] = SETTINGS

    @contextmanager
    def get_connection(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open a connection on which every table of the lake is a view, as the lake is now.

        Raises
        ------
        LakeError
            There is no lake, or it holds no table.
        """
        lake = self._existing().open()
        with self._connect() as connection:
            create_views(connection, lake)
            yield connection

    def over(self, session: LakeSession | None = None) -> Warehouse:
        """Return the warehouse of a session's lake, or, without a session, of this resource's lake."""
        return Warehouse(session or self._existing().session(), self._connect)

    @contextmanager
    def _connect(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        with super().get_connection() as connection:
            try:
                yield connection
            finally:
                connection.close()  # dagster-duckdb leaves it open where the block raises

    def _existing(self) -> LakeResource:
        """Return the lake's resource; raise an error where the lake does not exist, instead of creating its folder."""
        if not self.lake.root.startswith("s3://") and not Path(self.lake.root).exists():
            raise LakeError(
                "there is no lake here", where=self.lake.root, fix="`finai run` makes it; --home names another home"
            )
        return self.lake
