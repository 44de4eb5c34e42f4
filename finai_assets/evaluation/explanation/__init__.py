"""Explanations of the teacher's predictions, and tests of their faithfulness."""
