"""What each part of the teacher is worth: variants, runs of them, and comparisons with intervals."""
