"""C29 and C30: a champion was better, or not worse for a reason, on whole evidence, and two people signed for it.

``checks`` says what is asserted and where it sits, ``verdicts`` judges the stored facts again by the lattice that decided, and
``canaries`` holds the inputs that prove it.
"""

from finai_checks.framework.check import Theme
from finai_checks.promotion import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
