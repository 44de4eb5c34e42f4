"""C18, C23 and C28: models are better than the trivial forecast, faithful to their teacher, and reproducible."""
