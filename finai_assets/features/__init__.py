"""Feature groups: columns declared once, kernels over customer blocks, states fitted on train months."""
