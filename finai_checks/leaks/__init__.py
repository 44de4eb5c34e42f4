"""C11: no column predicts a label almost perfectly, and no model predicts the future of a swapped customer.

``checks`` says what is asserted and where it sits. ``single_column`` holds the first verdict, on skills of columns
(``single_column_skill``, compiled in ``single_column_kernels``) and of trees and pairs (``single_column_groups``).
``shuffled_future`` holds the second, on a lake in which futures are swapped (``shuffled_future_lake``). ``canaries`` holds the
inputs that prove both.
"""

from finai_checks.framework.check import Theme
from finai_checks.leaks import checks

THEME = Theme(checks.KINDS, checks.declare_checks, f"{__name__}.canaries")
