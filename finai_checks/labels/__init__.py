"""C45 and C46: labels are proved by a second route, and no model knows more than there is to know.

``checks`` says what is asserted and where it sits. ``statements`` defines every label again, with the SQL of ``questions``;
``recomputed``, ``window``, ``rates``, ``truth``, ``resemblance`` and ``ceiling`` hold the verdicts, ``alterations`` the audit,
and ``value_canaries`` and ``canaries`` the inputs that prove them.
"""

from finai_checks.framework.check import Theme
from finai_checks.labels import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
