"""C13: the splits are apart in time.

``checks`` says what is asserted and where it sits, ``gap_split`` holds the verdict, ``canaries`` the inputs that prove it.
"""

from finai_checks.framework.check import Theme
from finai_checks.splits import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
