"""Training the network: losses, steps, the epoch's order of rows, checkpoints, several processes."""
