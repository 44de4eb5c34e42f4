"""Formulas of labels, a module for each family of tasks: ``formula(block, parameters) -> pa.Array``, null where not defined."""
