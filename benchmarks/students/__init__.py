"""Measures the students: how faithful a copy can be, what each step of distillation is worth, and what all of it costs."""
