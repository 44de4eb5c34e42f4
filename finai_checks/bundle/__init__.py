"""C26: the bundle is whole, genuine, of the present features and tasks, reproducible, and small and quick enough to serve.

``checks`` says what is asserted and where it sits; ``integrity`` holds the verdict, ``facts`` what it looks at one by one,
``cold_start`` the measurement in fresh processes; ``canaries`` holds the inputs that prove it, made by ``small_bundle``.
"""

from finai_checks.bundle import checks
from finai_checks.framework.check import Theme

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
