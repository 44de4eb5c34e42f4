"""What each feature group adds, and the reference page of all columns that tells it."""
