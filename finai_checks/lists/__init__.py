"""C44: the list that a customer is offered, beside simpler ones.

``checks`` says what is asserted and where it sits, ``verdicts`` holds the verdict, ``canaries`` the inputs that prove it.
"""

from finai_checks.framework.check import Theme
from finai_checks.lists import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
