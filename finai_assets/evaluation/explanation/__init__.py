"""Why the teacher says what it says, and whether the explanations are faithful to it."""
