"""C31 and C32: nobody is offered what does not suit, and nobody who did not agree is offered anything.

``checks`` says what is asserted and reads the stored tables, ``offers`` lines them up, ``suitability`` and ``consent`` hold the
verdicts, stated anew and not by the code of the filters, ``canaries`` the inputs that prove them.
"""

from finai_checks.framework.check import Theme
from finai_checks.offering import canaries, checks

THEME = Theme(checks.KINDS, checks.declare_checks, canaries.plain_canaries, canaries.lake_canaries)
