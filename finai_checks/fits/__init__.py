"""C12: everything that was fitted has seen the rows of its own split alone."""
