"""C10 and C16: features are made from their declared inputs alone, and stored bytes are traced to raw tables."""
