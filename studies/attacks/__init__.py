"""Planted faults: an edit of the product's code, or of what it has stored, and the check that must stop the run that follows."""
