"""C11: no column tells a label, and no model foretells a future that belongs to another customer."""
