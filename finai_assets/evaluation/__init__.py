"""The teacher beside its baselines and its ceiling, what its predictions rest on, and the pages that show both."""
