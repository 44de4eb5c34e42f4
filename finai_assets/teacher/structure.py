"""The constants that experts are built with: the merchant tree, and the customer-product graph of train."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finai_assets.features.methods.lightgcn import build_graph, gram_matrix
from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.features.catalogue import Catalogue

_CHUNK_ROWS = 65_536  # latest rows read at once; of each only the held columns


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

    @classmethod
    def fit(
        cls,
        X: np.ndarray,
        rows: slice,
        *,
        customer: np.ndarray,
        month: np.ndarray,
        columns: tuple[str, ...],
        held: tuple[str, ...],
        catalogue: Catalogue,
    ) -> Structure:
        """Build the graph from ``X[rows]``; pass the train rows and nothing else.

        Parameters
        ----------
        X : float32 [n, d]
            May be a memory map; the held columns of one row a customer are read.
        rows : slice
        customer : int64 [n]
        month : str [n]
            In ISO form, so that their order is that of time.
        columns : tuple of str
            Names of the matrix columns.
        held : tuple of str
            Those that hold 1 where the product is held and 0 where it is not, by product id.
        catalogue : Catalogue

        Raises
        ------
        GateError
            There are no rows, a held column is absent, or it holds something else than 0 and 1.
        """
        if absent := sorted(set(held) - set(columns)):
            raise _refused(f"the matrix has no columns {absent}")
        at = _latest(customer[rows], month[rows]) + (rows.start or 0)
        if not len(at):
            raise _refused("there are no train rows")
        positions = np.array([columns.index(name) for name in held], dtype=np.int64)
        parts = [X[np.ix_(at[k : k + _CHUNK_ROWS], positions)] for k in range(0, len(at), _CHUNK_ROWS)]
        holdings = np.concatenate(parts)
        if (strange := int((~np.isin(holdings, (0, 1))).sum())) > 0:
            raise _refused(f"{strange} values of held columns are neither 0 nor 1")
        whole = holdings.astype(np.uint8)
        return cls(
            tree=np.stack([catalogue.mcc, catalogue.l2, catalogue.l1]).astype(np.int64),
            held=tuple(held),
            degree=whole.sum(axis=0, dtype=np.float64),
            graph=np.asarray(gram_matrix(build_graph(whole).arrays)),  # summed in order: the same bytes on any machine
        )

    def to_bytes(self) -> bytes:
        """Return the structure as npz, without pickle; equal structures have equal bytes."""
        sink = io.BytesIO()
        np.savez(
            sink,
            tree=np.ascontiguousarray(self.tree, np.int64),
            held=np.array(self.held, dtype=np.str_),
            degree=np.ascontiguousarray(self.degree, np.float64),
            graph=np.ascontiguousarray(self.graph, np.float64),
        )
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Structure:
        """Read what :meth:`to_bytes` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return cls(stored["tree"], tuple(stored["held"].tolist()), stored["degree"], stored["graph"])


def _latest(customer: np.ndarray, month: np.ndarray) -> np.ndarray:
    """Return the position of each customer's latest row, int64 [customers], ascending."""
    order = np.lexsort((month, customer))
    last = np.append(customer[order[1:]] != customer[order[:-1]], True)[: len(order)]
    return np.sort(order[last])


def _refused(what: str) -> GateError:
    return GateError(
        what, where="teacher structure", fix="materialise the training matrix again with this configuration"
    )
