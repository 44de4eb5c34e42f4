"""Jobs, and later schedules, sensors and backfills."""
