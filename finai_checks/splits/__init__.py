"""C13: the splits keep their gap."""
