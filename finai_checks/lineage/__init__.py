"""C10 and C16: features are made from their declared inputs alone, and what models read traces back to raw tables, by value too.

``checks`` says what is asserted and where it sits; ``label_reach`` (declared inputs against labels), ``input_probe`` with
``raw_alterations`` (inputs measured), ``provenance`` (recorded hashes) and ``matrix_values`` (values read again) hold the
verdicts; ``canaries`` and ``matrix_canaries`` hold the inputs that prove them.
"""

from finai_checks.framework.check import Theme
from finai_checks.lineage import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
