"""C22, C25, C43 and the count of copies (C23): what is asked of the students beside their fidelity.

``checks`` says what is asserted and where it sits; ``calibration`` (C22), ``reasons`` (C25), ``outperforms`` (C43) and ``copies``
(C23) hold the verdicts; ``canaries`` holds the inputs that prove them.
"""

from finai_checks.framework.check import Theme
from finai_checks.students import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
