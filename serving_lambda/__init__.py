"""What is deployed: one handler and the pure modules behind it. The standard library alone; numpy arrays are read where given."""
