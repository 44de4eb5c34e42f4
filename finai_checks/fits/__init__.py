"""C12: everything fitted has seen the rows of its split and no others.

``checks`` says what is asserted and where it sits, ``scopes`` judges which rows were seen, ``refit`` and ``refit_models`` fit
again, ``canaries`` and ``spoiled_fits`` hold the inputs that prove it.
"""

from finai_checks.fits import checks
from finai_checks.framework.check import Theme

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
