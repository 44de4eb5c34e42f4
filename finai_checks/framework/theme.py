"""A theme: kinds of checks that belong together, where they sit, and the inputs that prove them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared
from finai_checks.framework.kind import Kind


@dataclass(frozen=True, slots=True)
class Theme:
    """The one place where a kind of check is declared; all else derives from it.

    Parameters
    ----------
    kinds : tuple of Kind
    declare
        Puts the kinds on the assets of a data set.
    canaries
        Inputs on plain values.
    lake_canaries
        Inputs on the small lake, and on spoiled copies of it.
    """

    kinds: tuple[Kind, ...]
    declare: Callable[[Platform], Sequence[Declared]]
    canaries: Callable[[Settings], Sequence[Canary]]
    lake_canaries: Callable[[], Sequence[LakeCanary]]
