"""C09: the features of a month read nothing after its cutoff.

``checks`` says what is asserted and where it sits, ``replay`` recomputes and compares, ``canaries`` holds the inputs
that prove it.
"""

from finai_checks.framework.check import Theme
from finai_checks.point_in_time import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
