"""What experts know before they read a row: the merchant tree, and the customer-product graph of train."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Structure:
    """Constants of the catalogue, and of the train rows.

    Parameters
    ----------
    tree : int64 [3, leaves]
        MCC, L2 node and L1 node of each leaf, ascending by MCC, which is the order of the spend measure.
    held : tuple of str
        Columns (0 or 1) that say which product a row holds.
    degree : float64 [products]
        Train customers that hold each product, by each customer's latest train row.
    graph : float64 [products, products]
        Two steps through that graph, ``Aᵀ A`` with the symmetrically normalised adjacency ``A = D_u^-½ H D_i^-½``; rows and
        columns of products that nobody holds are 0.
    """

    tree: np.ndarray
    held: tuple[str, ...]
    degree: np.ndarray
    graph: np.ndarray

    @classmethod
    def none(cls) -> Structure:
        """Return a structure without leaves and products."""
        return cls(np.empty((3, 0), np.int64), (), np.empty(0), np.empty((0, 0)))
