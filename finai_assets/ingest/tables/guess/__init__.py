"""What `finai init` looks at and writes: how files are written, what their columns are, and a data set's YAML from it."""
