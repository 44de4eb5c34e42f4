"""Where things live: the lake, the warehouse, secrets, and the Dagster instance."""
