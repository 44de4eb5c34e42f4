"""Dagster resources and what they open: the lake, the warehouse, keys, the home folder, and the event log."""
