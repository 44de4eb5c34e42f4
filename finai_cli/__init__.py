"""The command line: ``finai run | generate | config | features | doctor``."""
