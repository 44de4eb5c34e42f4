"""LightGBM models: how rows are binned, trees are grown, and stored models are read.

The seed, a fixed direction of counting and LightGBM's deterministic mode make a model the same, byte by byte, whenever the same
rows are learned on the same number of threads; where columns are counted, on any number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import log_softmax, softmax

if TYPE_CHECKING:
    import lightgbm as lgb

# Huber turns linear at this many standard deviations of the target: only outliers are tamed, the mean stays the aim.
_HUBER_DEVIATIONS = 3.0
_PARAMETERS = "\nparameters:\n"


@dataclass(frozen=True, slots=True)
class Binning:
    """How the values of a column become bins, with the settings that all models of the same bins share.

    Parameters
    ----------
    seed : int
        LightGBM takes it modulo 2**31.
    threads : int
        Of binning and of training. Where rows are counted, each thread adds up rows of its own, and the order of the sums can
        change a split: models of many classes have been seen to differ. Where columns are counted, threads change nothing.
    min_leaf_rows : int
        Fewer rows are no leaf.
    max_bin : int
        At most so many bins a column.
    counted : {"columns", "rows"}
        Whether a thread counts the bins of some columns or of some rows. Sums then have another order, so a model depends on it.
    """

    seed: int
    threads: int
    min_leaf_rows: int
    max_bin: int = 255
    counted: Literal["columns", "rows"] = "columns"

    @property
    def parameters(self) -> dict[str, Any]:
        """Return LightGBM's parameters."""
        return {
            "max_bin": self.max_bin,
            "min_data_in_leaf": self.min_leaf_rows,
            "feature_pre_filter": False,
            "enable_bundle": False,  # dense columns exclude each other too rarely for the search for bundles to pay
            "seed": self.seed % 2**31,
            "deterministic": True,
            "force_col_wise" if self.counted == "columns" else "force_row_wise": True,
            "num_threads": self.threads,
            "verbosity": -1,
        }


@dataclass(frozen=True, slots=True)
class Growth:
    """The number of trees, and their size.

    Parameters
    ----------
    rounds : int
        At most; a round is one tree, or one for each class.
    leaves : int
        At most, of a tree.
    learning_rate : float
    column_share : float
        Share of the columns that each tree may use, drawn anew for each.
    patience : int
        Where there are rows to stop on, so many rounds without a better loss on them end the training; the best round is kept.
    least_gain : float
        A loss is better where it is lower by more than this.
    """

    rounds: int
    leaves: int
    learning_rate: float
    column_share: float = 1.0
    patience: int = 0
    least_gain: float = 0.0

    @property
    def parameters(self) -> dict[str, Any]:
        """Return LightGBM's parameters."""
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "feature_fraction": self.column_share,
        }


@dataclass(frozen=True)
class BinnedRows:
    """Rows that are binned once, for all models that learn from them."""

    data: lgb.Dataset
    binning: Binning

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return int(self.data.num_data())

    def take(self, rows: np.ndarray) -> BinnedRows:
        """Return some of the rows, by ascending positions int64 [m], in the same bins."""
        return BinnedRows(self.data.subset(rows.tolist()).construct(), self.binning)

    def labelled(self, label: np.ndarray) -> Sample:
        """Return the rows whose label, float [n], is not NaN, as a sample. Without a masked row no copy is made."""
        known = np.isfinite(label)
        return Sample(self if known.all() else self.take(np.flatnonzero(known)), label[known])


@dataclass(frozen=True)
class Sample:
    """Rows to learn from or to stop on, with their target float [n] or, where it is class probabilities, [n, classes]."""

    rows: BinnedRows
    target: np.ndarray


@dataclass(frozen=True)
class Loss:
    """The loss of a model, from :func:`hard_loss` or :func:`soft_loss`: LightGBM's parameters for it.

    LightGBM has no loss of class probabilities: where ``of_classes`` is set, gradient and start are computed here.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    of_classes: bool = False


@dataclass(frozen=True)
class Trees:
    """A trained model.

    Parameters
    ----------
    booster : lgb.Booster
    init_score : float64 [1] or [classes]
        To be added to raw scores. Only a model of class probabilities starts anywhere but at zero; the others hold their start
        in the first tree.
    """

    booster: lgb.Booster
    init_score: np.ndarray

    @property
    def rounds(self) -> int:
        """Return the number of the best round, or of all where none was chosen."""
        return self.booster.best_iteration if self.booster.best_iteration > 0 else self.booster.current_iteration()

    @property
    def text(self) -> str:
        """Return the model up to its best round, from :meth:`cut`."""
        return self.cut(self.rounds)

    def cut(self, rounds: int) -> str:
        """Return the model up to a round, as LightGBM writes it.

        The parameters that would follow the trees are left out: nothing reads them, and they hold the number of threads.
        """
        text: str = self.booster.model_to_string(num_iteration=rounds, importance_type="gain")
        return text.split(_PARAMETERS, maxsplit=1)[0] + "\n"

    def predict(self, X: np.ndarray, *, threads: int) -> np.ndarray:
        """Return probabilities or values of rows float32 [n, columns]: float64 [n] or [n, classes]; a hard loss only."""
        return np.asarray(self.booster.predict(X, num_threads=threads))

    def gain(self) -> np.ndarray:
        """Return by how much the splits on each column have lowered the loss, float64 [columns]."""
        return np.asarray(self.booster.feature_importance(importance_type="gain"), dtype=np.float64)


def bin_rows(
    X: np.ndarray, binning: Binning, *, names: Sequence[str] | None = None, like: BinnedRows | None = None
) -> BinnedRows:
    """Bin rows float32 [n, columns].

    Parameters
    ----------
    names
        Of the columns, as the stored model knows them.
    like
        Rows whose bins these rows get.
    """
    import lightgbm as lgb

    reference = None if like is None else like.data
    columns = "auto" if names is None else list(names)
    data = lgb.Dataset(X, params=binning.parameters, feature_name=columns, reference=reference, free_raw_data=True)
    return BinnedRows(data.construct(), binning)


def hard_loss(kind: str, classes: int = 1) -> Loss:
    """Return the loss of labels: log-loss of two or more classes, or squared error of a value."""
    return Loss({"objective": kind, "num_class": classes} if kind == "multiclass" else {"objective": kind})


def soft_loss(kind: str, target: np.ndarray) -> Loss:
    """Return the loss of targets that may be probabilities.

    Cross-entropy against a probability float [n] or against class probabilities float [n, classes], Huber's loss of a value.
    Hard labels are the special case of a target that is 0 or 1.
    """
    if kind == "multiclass":
        return Loss({"num_class": target.shape[1], "metric": "none"}, of_classes=True)
    if kind == "binary":
        return Loss({"objective": "cross_entropy", "metric": "cross_entropy"})
    width = _HUBER_DEVIATIONS * max(float(target.std()), 1e-9)
    return Loss({"objective": "huber", "metric": "huber", "alpha": width})


def squared_loss() -> Loss:
    """Return the squared error of a value."""
    return Loss({"objective": "regression", "metric": "l2"})


def train_trees(loss: Loss, train: Sample, growth: Growth, *, stop_on: Sample | None = None) -> Trees:
    """Train one model.

    Parameters
    ----------
    train : Sample
        Its target is set on the rows, which other models may share one after the other, not at the same time.
    stop_on : Sample, optional
        Rows whose loss says when to stop; in the bins of ``train``.
    """
    import lightgbm as lgb

    parameters = {**train.rows.binning.parameters, **growth.parameters, **loss.parameters}
    init, measure = np.zeros(1), None
    if loss.of_classes:
        # Starts from the mean target; a class that never occurs starts at a thousandth of a row.
        init = np.log(np.maximum(train.target.mean(axis=0), 1e-3 / len(train.target)))
        parameters["objective"] = _soft_softmax_objective(train.target)
        measure = None if stop_on is None else _soft_log_loss(stop_on.target)
    data = _with_target(train, init if loss.of_classes else None)
    if stop_on is None:
        return Trees(lgb.train(parameters, data, growth.rounds), init)
    held_out = _with_target(stop_on, init if loss.of_classes else None)
    stopper = lgb.early_stopping(growth.patience, verbose=False, min_delta=growth.least_gain)
    booster = lgb.train(parameters, data, growth.rounds, valid_sets=[held_out], feval=measure, callbacks=[stopper])
    return Trees(booster, init)


def raw_scores(text: str, X: np.ndarray, threads: int) -> np.ndarray:
    """Return a stored model's raw scores, [n] or [n, K]."""
    import lightgbm as lgb

    return np.asarray(lgb.Booster(model_str=text).predict(X, raw_score=True, num_threads=threads), dtype=np.float64)


def contributions(text: str, X: np.ndarray, threads: int) -> np.ndarray:
    """Return how much each column moves a stored model's raw scores from their mean: exact Shapley values of its trees.

    Lundberg, Erion and Lee: Consistent individualized feature attribution for tree ensembles (2018).

    Parameters
    ----------
    X : float32 [n, columns]

    Returns
    -------
    float64 [n, outputs, columns]
        A model of two classes, or of a value, has one output.
    """
    import lightgbm as lgb

    found = np.asarray(lgb.Booster(model_str=text).predict(X, pred_contrib=True, num_threads=threads), dtype=np.float64)
    return found.reshape(len(X), -1, X.shape[1] + 1)[:, :, :-1]  # the last of each output is the mean


def count_leaves(text: str) -> tuple[int, int]:
    """Return the number of trees and of leaves of a stored model."""
    each = [int(line[11:]) for line in text.splitlines() if line.startswith("num_leaves=")]
    return len(each), sum(each)


def gain_shares(text: str) -> dict[str, float]:
    """Return each used column's share of a stored model's gain, largest first."""
    import lightgbm as lgb

    booster = lgb.Booster(model_str=text)
    gain = Trees(booster, np.zeros(1)).gain()
    order = np.lexsort((np.arange(len(gain)), -gain))
    return {booster.feature_name()[i]: float(gain[i] / gain.sum()) for i in order if gain[i] > 0}


def soft_softmax(raw: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and diagonal of the Hessian of ``-sum(target * log softmax(raw))``, each [n, K].

    ``target`` rows add up to one.
    """
    probability = softmax(raw, axis=1)
    return probability - target, probability * (1 - probability)


def _with_target(sample: Sample, init: np.ndarray | None) -> lgb.Dataset:
    """Set a sample's target on its rows; of class probabilities LightGBM is given the likeliest class, which it does not read."""
    data, target = sample.rows.data, sample.target
    data.set_label(target if target.ndim == 1 else target.argmax(axis=1))
    data.set_field("init_score", None)  # another model may have left its start on shared rows
    if init is not None:
        data.set_init_score(np.tile(init, (len(target), 1)))
    return data


def _soft_softmax_objective(target: np.ndarray) -> Callable[[np.ndarray, lgb.Dataset], tuple[np.ndarray, np.ndarray]]:
    # LightGBM's own softmax objective scales the Hessian by K / (K - 1); the same here, so that hard labels agree with it.
    scale = target.shape[1] / (target.shape[1] - 1)

    def objective(raw: np.ndarray, _: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
        gradient, hessian = soft_softmax(raw, target)
        return gradient, np.maximum(scale * hessian, 1e-16)

    return objective


def _soft_log_loss(target: np.ndarray) -> Callable[[np.ndarray, lgb.Dataset], tuple[str, float, bool]]:
    def loss(raw: np.ndarray, _: lgb.Dataset) -> tuple[str, float, bool]:
        return "soft_log_loss", float(-(target * log_softmax(raw, axis=1)).sum(axis=1).mean()), False

    return loss
