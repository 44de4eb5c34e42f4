"""C09: the features of a month read nothing after its cutoff.

``checks`` says what is asserted and where it sits, ``replay`` recomputes and compares, ``canaries`` holds the inputs
that prove it.
"""

from finai_checks.framework.check import Theme
from finai_checks.point_in_time import canaries, checks

THEME = Theme(checks.KINDS, checks.declare_checks, canaries.plain_canaries, canaries.lake_canaries)
