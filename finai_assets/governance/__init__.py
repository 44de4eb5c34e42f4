"""What people answer for: incidents, and what was decided about changes of the source."""
