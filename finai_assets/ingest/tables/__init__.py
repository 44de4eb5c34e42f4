"""The adapter of a bank's own tables: sources as views of a month, and expressions that map them onto the data contract."""
