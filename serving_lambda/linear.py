"""The choice model: a margin of every product, linear in the squashed columns of a row.

``margin_p = intercept_p + sum over columns j of weight_pj * z_j`` with ``z_j = (x / (|x| + size_j) - center_j) * scale_j``, and 0
where x is missing. Every operation is exactly rounded and taken in the order of the columns, so that the batch job gets the same
bits with arrays, on any machine. A column's contribution to a margin is its summand: exact, without sampling.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite
from typing import Any

from serving_lambda.errors import ServingError

FORMAT = 1


class LinearModel:
    """A choice model as ``models/product_share*.json`` holds it.

    Parameters
    ----------
    content : bytes
        JSON: ``format`` (1), ``products``, ``columns``, ``size``, ``center``, ``scale``, ``intercept``, ``weights``
        [products][columns]. Sizes are positive, and all numbers finite.

    Raises
    ------
    ServingError
        ``MODEL_UNREADABLE``: the content does not follow the format.
    """

    def __init__(self, content: bytes) -> None:
        try:
            stored = json.loads(content)
            if stored["format"] != FORMAT:
                raise ServingError("MODEL_UNREADABLE", f"it is of format {stored['format']}, {FORMAT} is read")
            self.size, self.center, self.scale, self.intercept = (
                [float(value) for value in stored[name]] for name in ("size", "center", "scale", "intercept")
            )
            self.weights = [[float(value) for value in row] for row in stored["weights"]]
            self.names, self.products = tuple(stored["columns"]), tuple(stored["products"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ServingError("MODEL_UNREADABLE", f"it is no choice model ({type(error).__name__})") from error
        self.columns, self.classes = len(self.names), len(self.products)
        lengths = {len(row) for row in (self.size, self.center, self.scale, *self.weights)}
        if lengths != {self.columns} or {len(self.weights), len(self.intercept)} != {self.classes}:
            raise ServingError("MODEL_UNREADABLE", "columns, products and weights have different lengths")
        numbers = (self.size, self.center, self.scale, self.intercept, *self.weights)
        if not all(isfinite(value) for row in numbers for value in row) or min(self.size, default=1.0) <= 0.0:
            raise ServingError("MODEL_UNREADABLE", "a number is not finite, or a size not positive")

    def inputs(self, values: Sequence[float]) -> list[float]:
        """Return the squashed columns of a row."""
        return [
            (x / (abs(x) + size) - center) * scale if isfinite(x) else 0.0
            for x, size, center, scale in zip(values, self.size, self.center, self.scale, strict=True)
        ]

    def raw_row(self, values: Sequence[float]) -> list[float]:
        """Return the margins of all products for the model's columns of one row."""
        inputs, margins = self.inputs(values), []
        for total, weights in zip(self.intercept, self.weights, strict=True):
            for z, weight in zip(inputs, weights, strict=True):
                total += z * weight  # noqa: PLW2901 - a running sum, in the order of the columns
            margins.append(total)
        return margins

    def raw(self, matrix: Any, rows: int, *, threads: int = 1) -> list[float]:
        """Return the margins [rows * products] of many rows; ``matrix`` float32 [rows, columns] is read where it lies."""
        flat, width = memoryview(matrix).cast("B").cast("f"), self.columns
        return [margin for at in range(0, rows * width, width) for margin in self.raw_row(flat[at : at + width])]

    def contributions_of(self, product: int, inputs: Sequence[float]) -> list[float]:
        """Return what each of the :meth:`inputs` of a row adds to a product's margin, and the intercept last: [columns + 1]."""
        added = [z * weight for z, weight in zip(inputs, self.weights[product], strict=True)]
        return [*added, self.intercept[product]]
