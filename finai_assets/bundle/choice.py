"""The choice model in a bundle: its two models as files, and its entry in the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_assets.asset_graph import BUNDLE, CHOICE
from finai_assets.choice.model import ChoiceModel, from_file
from finai_assets.choice.train import COLUMNS, HOLDINGS
from finai_resources.errors import BundleError
from serving_lambda.bundle import MODEL_FOLDER, canonical
from serving_lambda.scorer import LAYER_OF_ROUTE, PRODUCT_MODEL

ROUTE = "CHOICE"


@dataclass(frozen=True)
class ChoiceLayers:
    """The models by the name of their file, best first, and what the manifest says of them."""

    models: Mapping[str, ChoiceModel]
    card: Mapping[str, Any]

    @classmethod
    def of(cls, content: bytes, products: Sequence[str]) -> ChoiceLayers:
        """Read the stored choice model.

        Parameters
        ----------
        products
            Codes of the catalogue in the order of their ids: what the models must score.

        Raises
        ------
        LakeError
            It cannot be read.
        BundleError
            It is of another catalogue, or lacks a model.
        """
        stored, card = from_file(content, CHOICE)
        if set(stored) != {COLUMNS, HOLDINGS} or any(model.products != tuple(products) for model in stored.values()):
            raise BundleError(
                f"the choice model is none of the {len(products)} products of the catalogue",
                where=BUNDLE,
                fix=f"materialise {CHOICE} again",
            )
        names = {
            COLUMNS: f"{MODEL_FOLDER}{PRODUCT_MODEL}.json",
            HOLDINGS: f"{MODEL_FOLDER}{PRODUCT_MODEL}.{HOLDINGS}.json",
        }
        return cls({names[name]: stored[name] for name in (COLUMNS, HOLDINGS)}, card)

    def files(self) -> dict[str, bytes]:
        """Return the files by name."""
        return {name: canonical(model.to_dict()) for name, model in self.models.items()}

    def typical(self) -> dict[str, float]:
        """Return what is typical of each column in train: the value that the best model reads as its mean."""
        model = next(iter(self.models.values()))
        center, size = model.squash.center, model.squash.size
        values = np.divide(size * center, 1.0 - np.abs(center), out=np.zeros_like(size), where=np.abs(center) < 1.0)
        return dict(zip(model.columns, values.tolist(), strict=True))

    def entry(self) -> dict[str, Any]:
        """Return the manifest's entry, which serving reads as that of a student of many classes."""
        (first, best), (second, behind) = self.models.items()
        shared = {
            "output_transform": "softmax",
            "init_score": [0.0] * len(best.products),
            "calibrator": {"type": "none"},
            "threshold": None,
        }
        return {
            "task": PRODUCT_MODEL,
            "kind": "multiclass",
            "classes": len(best.products),
            "class_labels": list(best.products),
            "route": ROUTE,
            "reason": "fitted on train acquisitions, its penalty chosen on validation ones",
            "card": dict(self.card),
            "served_by": LAYER_OF_ROUTE[ROUTE],
            "columns": list(best.columns),
            "model": first,
            "direct": {"columns": list(behind.columns), "model": second, **shared},
            **shared,
        }

    def expected(self, rows: np.ndarray, columns: Sequence[str]) -> dict[str, list[list[float]]]:
        """Return the share of every product, were all open, for golden rows float32 [n, columns], by file."""
        place = {name: index for index, name in enumerate(columns)}
        found = {}
        for name, model in self.models.items():
            z = model.squash.apply(rows[:, [place[column] for column in model.columns]])
            scores = z @ model.weights.T + model.intercept
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            found[name] = (powers / powers.sum(axis=1, keepdims=True)).tolist()
        return found
