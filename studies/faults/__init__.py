"""Faults of storage, one at each call in turn: what a run says of it, and whether a plain rerun makes the same bytes."""
