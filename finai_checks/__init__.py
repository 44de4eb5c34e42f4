"""Checks of the stored assets: a room for each theme, the catalogue of all rooms, and their Dagster checks, gates and proof."""
