"""The catalogue as features see it: the family of each product, and the tree of merchant categories."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from finai_assets.asset_graph import table_name
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


def read_catalogue(session: LakeSession, absent: Container[str] = ()) -> Catalogue:
    """Read ``raw/products`` and ``raw/merchant_categories``.

    Parameters
    ----------
    absent
        Names of the tables that the data set declares not to have: they hold no entry.

    Raises
    ------
    LakeError
        One of the others is not stored.
    """
    return Catalogue(
        *_columns(session, PRODUCTS, ("product_id", "family"), absent)[1:],
        *_columns(session, CATEGORIES, ("mcc", "l2", "l1"), absent),
    )


def _columns(session: LakeSession, path: str, names: tuple[str, ...], absent: Container[str]) -> list[np.ndarray]:
    """Return columns of a table, int32, by ascending order of the first."""
    if table_name(path) in absent:
        return [np.empty(0, np.int32) for _ in names]
    table = session.read(path, columns=list(names)).sort_by(names[0])
    return [np.asarray(table[name].to_numpy(), np.int32) for name in names]
