"""Experiments on the platform: what each feature group and each part of the teacher is worth. Nothing imports them."""
