"""What every check shares: its declaration, its run, its record, its canaries and its overrides."""
