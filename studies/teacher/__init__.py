"""The ablation of the teacher's parts: variants, runs of them, and comparisons with intervals."""
