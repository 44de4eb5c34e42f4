"""C10 and C16: features are made from their declared inputs alone, and every stored byte traces back to raw tables.

``checks`` says what is asserted and where it sits; ``label_reach`` (declared inputs against labels), ``input_probe`` with
``raw_alterations`` (inputs measured) and ``provenance`` (recorded hashes) hold the verdicts; ``canaries`` holds the inputs that
prove them.
"""

from finai_checks.framework.check import Theme
from finai_checks.lineage import canaries, checks

THEME = Theme(checks.KINDS, checks.declare_checks, canaries.plain_canaries, canaries.lake_canaries)
