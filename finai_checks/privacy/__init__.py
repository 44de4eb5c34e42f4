"""C01 and C02: no direct identifier is stored, and customer ids are keyed tokens.

One module for each check declares it, and holds its verdict and its canaries: ``identifiers`` (C01; ``identifier_scan``
searches texts) and ``pseudonyms`` (C02).
"""
