"""Evaluation of lists of products: their figures, what happened, and the rivals that they are read beside."""
