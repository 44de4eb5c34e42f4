"""C05: no held change of the source's schema touches a stored month.

``checks`` says what is asserted and where it sits, ``accepted`` holds the verdict, ``canaries`` the inputs that prove it;
``watch`` looks at the source, records what has changed, and lets the check speak.
"""

from finai_checks.framework.check import Theme
from finai_checks.schema import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
