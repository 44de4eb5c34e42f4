"""C18, C23 and C28: models beat the trivial forecast, agree with their teacher, and are reproducible.

``checks`` says what is asserted and where it sits; ``metric_floor`` (C18), ``fidelity`` (C23) and ``reproduction`` (C28) hold the
verdicts; ``canaries`` holds the inputs that prove them.
"""

from finai_checks.framework.check import Theme
from finai_checks.models import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
