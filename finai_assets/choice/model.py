"""A fitted choice model: a score of every product, linear in the squashed columns of a row.

The probability that the next product of a customer is p, among the products O that are open, is ``exp(f_p) / sum over r in O of
exp(f_r)`` (conditional logit: McFadden 1974), with ``f_p = intercept_p + sum over columns j of weight_pj * z_j``. Input ``z_j``
is ``x / (|x| + size_j)``, centred and scaled by train rows, and 0 where x is missing: amounts of any size stay within bounds, and
the arithmetic is exactly rounded, so that one request and a batch agree to the bit on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_resources.errors import LakeError
from finai_resources.json_text import to_json

FORMAT = 1
FILE = "choice.json"


@dataclass(frozen=True)
class Squash:
    """How a column becomes an input.

    Parameters
    ----------
    size, center, scale : float64 [columns]
        ``z = (x / (|x| + size) - center) * scale``.
    """

    size: np.ndarray
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, X: np.ndarray) -> Squash:
        """Fit on train rows float [n, columns]: ``size`` is the median of what is finite and not 0; z has mean 0, deviation 1."""
        X = np.asarray(X, dtype=np.float64)
        size = np.ones(X.shape[1])
        for j in range(X.shape[1]):
            told = np.abs(X[:, j])
            told = told[(told > 0) & np.isfinite(told)]
            size[j] = float(np.median(told)) if len(told) else 1.0
        bare = cls(size, np.zeros(X.shape[1]), np.ones(X.shape[1]))
        z, known = bare.apply(X), np.isfinite(X)
        count = np.maximum(known.sum(axis=0), 1)
        center = z.sum(axis=0) / count
        spread = np.sqrt((np.where(known, z - center, 0.0) ** 2).sum(axis=0) / count)
        return cls(size, center, 1.0 / np.where(spread > 1e-6, spread, 1.0))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Return the inputs float64 [n, columns] of rows float [n, columns]; 0 where a value is missing."""
        X = np.asarray(X, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            z = (X / (np.abs(X) + self.size) - self.center) * self.scale
        return np.where(np.isfinite(X), z, 0.0)


@dataclass(frozen=True)
class ChoiceModel:
    """Scores of products.

    Parameters
    ----------
    products : tuple of str
        Codes, by product id.
    columns : tuple of str
    squash : Squash
    intercept : float64 [products]
    weights : float64 [products, columns]
    """

    products: tuple[str, ...]
    columns: tuple[str, ...]
    squash: Squash
    intercept: np.ndarray
    weights: np.ndarray

    def scores(self, X: np.ndarray) -> np.ndarray:
        """Return float64 [n, products] of rows float [n, columns], added up column by column as serving does."""
        z = self.squash.apply(X)
        total = np.repeat(self.intercept[None, :], len(z), axis=0)
        for j in range(z.shape[1]):
            total += z[:, j, None] * self.weights[None, :, j]
        return total

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; :meth:`from_dict` reads them back to the bit."""
        return {
            "format": FORMAT,
            "products": list(self.products),
            "columns": list(self.columns),
            "size": self.squash.size.tolist(),
            "center": self.squash.center.tolist(),
            "scale": self.squash.scale.tolist(),
            "intercept": self.intercept.tolist(),
            "weights": self.weights.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ChoiceModel:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            It is of another format, or its parts do not fit together.
        """
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}, {FORMAT} is read")
        products, columns = tuple(stored["products"]), tuple(stored["columns"])
        squash = Squash(*(np.array(stored[name], dtype=np.float64) for name in ("size", "center", "scale")))
        intercept = np.array(stored["intercept"], dtype=np.float64)
        weights = np.array(stored["weights"], dtype=np.float64).reshape(len(products), -1)
        shapes = {squash.size.shape, squash.center.shape, squash.scale.shape, weights.shape[1:], (len(columns),)}
        if len(shapes) > 1 or intercept.shape != (len(products),):
            raise ValueError("columns, products and weights have different lengths")
        return cls(products, columns, squash, intercept, weights)


def to_file(models: Mapping[str, ChoiceModel], card: Mapping[str, Any]) -> bytes:
    """Return a file of the models by name, with what is told of them; equal models have equal bytes."""
    return to_json({"card": dict(card), "models": {name: model.to_dict() for name, model in models.items()}})


def from_file(content: bytes, where: str) -> tuple[dict[str, ChoiceModel], dict[str, Any]]:
    """Read what :func:`to_file` wrote: the models, and what is told of them.

    Raises
    ------
    LakeError
        It is none.
    """
    try:
        stored = json.loads(content)
        models = {name: ChoiceModel.from_dict(entry) for name, entry in stored["models"].items()}
        return models, stored["card"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeError(f"the choice model cannot be read ({error})", where=where, fix="fit it again") from error
