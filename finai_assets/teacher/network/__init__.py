"""The teacher's network: experts, gates, towers, and what each of them reads."""
