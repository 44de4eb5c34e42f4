"""C28, C31 and C32: a month is what the deployed code answers; nobody is offered what does not suit, or without having agreed.

``checks`` says what is asserted and reads the stored tables, ``offers`` lines them up, ``suitability`` and ``consent`` hold the
verdicts, stated anew and not by the code of the filters, ``replayed`` the comparison with single answers, ``canaries`` the inputs
that prove them.
"""

from finai_checks.framework.check import Theme
from finai_checks.offering import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
