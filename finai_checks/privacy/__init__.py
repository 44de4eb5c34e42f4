"""C01 and C02: no direct identifier is stored, and customer ids are keyed tokens.

Each theme is one file that says what is asserted and where it sits, and holds the verdict and the inputs that prove it:
``identifiers`` (C01; ``identifier_scan`` searches texts) and ``pseudonyms`` (C02).
"""
