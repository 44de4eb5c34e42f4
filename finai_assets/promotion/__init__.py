"""Promotion of a challenger to champion: evidence, comparison, signatures, the lattice that judges them, and the decision."""
