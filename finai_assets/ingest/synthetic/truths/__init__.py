"""Truths of tasks, a module for each family: the law of a label given the state at the cutoff, and the label that happened."""
