"""Adapters: each turns one source into the raw tables of the data contract."""
