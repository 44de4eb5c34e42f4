"""C01 and C02: no direct identifier is stored, and customer ids are keyed tokens."""
