"""How often checks refuse clean data: whole runs of panels drawn from other seeds, and every result of every check counted."""
