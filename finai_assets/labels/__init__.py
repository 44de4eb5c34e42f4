"""Forward-looking labels and the splits that keep them apart."""
