"""The ablation of feature groups, and the reference page of all columns that shows its figures."""
