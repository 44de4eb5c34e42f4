"""C05: the raw tables of a month keep the data contract.

``checks`` says what is asserted and where it sits, ``suite`` holds the verdict, ``canaries`` and ``inputs`` what
proves it; ``data_docs`` writes Great Expectations' own pages.
"""

from finai_checks.contract import checks
from finai_checks.framework.check import Theme

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
