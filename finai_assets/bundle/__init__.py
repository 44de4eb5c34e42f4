"""The serving bundle: what is deployed, made from students and config, gated, hashed and signed."""
