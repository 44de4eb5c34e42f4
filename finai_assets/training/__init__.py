"""The training matrix: feature columns, side tensors, labels and splits of all months, row by row, for every model."""
