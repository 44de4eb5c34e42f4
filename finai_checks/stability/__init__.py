"""C06 and C17: columns vary, and volumes, missing values and distributions stay as they were.

``checks`` says what is asserted and where it sits, ``inputs`` reads the figures from the lake, ``verdicts`` judges them,
``canaries`` holds the inputs that prove it.
"""

from finai_checks.framework.check import Theme
from finai_checks.stability import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
