"""Algorithms that feature groups are made from: pure functions and kernels over arrays that know no group's columns."""
