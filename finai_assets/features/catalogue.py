"""The catalogue as features see it: the family of each product, and the tree of merchant categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finai_assets.features.inputs import CATEGORIES, PRODUCTS
from finai_resources.lake_session import LakeSession


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Product families and merchant tree, which need no fit.

    Parameters
    ----------
    family : int32 [products]
        Family of each product, by product id.
    mcc : int32 [leaves]
        Leaves of the merchant tree, ascending.
    l2, l1 : int32 [leaves]
        The nodes above each leaf. Ids of a level are unique within it; every L2 lies below one L1.
    """

    family: np.ndarray
    mcc: np.ndarray
    l2: np.ndarray
    l1: np.ndarray

    @classmethod
    def none(cls) -> Catalogue:
        """Return a catalogue without entries."""
        return cls(*(np.empty(0, np.int32) for _ in range(4)))


def read_catalogue(session: LakeSession) -> Catalogue:
    """Read ``raw/products`` and ``raw/merchant_categories``.

    Raises
    ------
    LakeError
        One of them is absent.
    """
    products = session.read(PRODUCTS, columns=["product_id", "family"]).sort_by("product_id")
    leaves = session.read(CATEGORIES, columns=["mcc", "l2", "l1"]).sort_by("mcc")
    return Catalogue(
        np.asarray(products["family"].to_numpy(), np.int32),
        *(np.asarray(leaves[name].to_numpy(), np.int32) for name in ("mcc", "l2", "l1")),
    )
