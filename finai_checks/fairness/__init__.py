"""C14 and C15: models read no prohibited attribute, and strong proxies of one are assessed.

``checks`` says what is asserted and where it sits; ``prohibited_inputs`` (C14) and ``proxy_strength`` (C15) hold the verdicts,
and ``protected`` the attributes beside the rows of the matrix; ``canaries`` holds the inputs that prove them.
"""

from finai_checks.fairness import checks
from finai_checks.framework.check import Theme

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
