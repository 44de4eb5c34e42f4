"""What all checks share: their classes (``check``), their run, their records, signed overrides, articles of law, a small lake."""
