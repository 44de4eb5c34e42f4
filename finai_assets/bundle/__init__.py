"""The serving bundle: the signed folder that serving loads, built from students and config behind gates."""
