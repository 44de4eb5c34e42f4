"""Real files and databases as rows that DuckDB reads; what their columns mean is not known here."""

from finai_assets.ingest.tables.reading.rows import Rows, read_source

__all__ = ["Rows", "read_source"]
