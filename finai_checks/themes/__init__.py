"""What must hold: one module for each theme, each check with its canaries."""
