"""What is computed, one room for each step: ingest, features, labels, teacher, students, bundle, recommend."""
