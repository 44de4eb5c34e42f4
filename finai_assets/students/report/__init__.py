"""What is told of all students together: ``fidelity.json`` and its page."""
