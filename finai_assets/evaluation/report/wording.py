"""Figures of the evaluation as words: rounded, with their interval, the same everywhere in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finai_assets.evaluation.models import ABOUT

METRICS = {"auc": "AUC", "log_loss": "log-loss", "r2": "R²"}
VERDICTS = {
    "better": "the teacher is better",
    "worse": "the teacher is worse",
    "unclear": "no clear difference, the interval includes zero",
}
NOTHING = "–"
_MINUS = "−"


def title(model: str) -> str:
    """Return a model's name as it stands in tables and sentences."""
    return "the trivial forecast" if model == "trivial" else ABOUT[model].title


def titles(models: Sequence[str], before: str = "") -> list[str]:
    """Return the names of models for the head of a table, each with a word before it."""
    return [before + title(model) for model in models]


def plain_value(found: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Return an estimate without its interval."""
    return NOTHING if found is None or found["value"] is None else number(found["value"], digits)


def estimate(found: Mapping[str, Any] | None) -> str:
    """Return an estimate, and its interval on a second line."""
    if found is None or found["value"] is None:
        return NOTHING
    return f"{number(found['value'], 3)}\n{bounds(found, 3)}"


def bounds(found: Mapping[str, Any], digits: int, prefix: str = "") -> str:
    """Return an interval."""
    low, high = found[f"{prefix}low"], found[f"{prefix}high"]
    return "no interval" if low is None else f"{number(low, digits)} to {number(high, digits)}"


def gain(found: Mapping[str, Any] | None, lower_is_better: bool) -> str:
    """Return what the teacher gains on a baseline, positive where it is better, with verdict and interval."""
    if found is None or found["value"] is None:
        return NOTHING
    sign = -1 if lower_is_better else 1
    value = f"{number(sign * found['value'], 3, plus=True)} {found['verdict']}"
    if found["low"] is None:
        return f"{value}\nno interval"
    low, high = sorted((sign * found["low"], sign * found["high"]))
    return f"{value}\n{number(low, 3, plus=True)} to {number(high, 3, plus=True)}"


def share(found: Mapping[str, Any]) -> str:
    """Return a mean lift share with its interval, for a sentence."""
    return f"{number(found['mean'], 2)} ({bounds(found, 2)}; median {number(found['median'], 2)})"


def mean(found: Mapping[str, Any]) -> str:
    """Return a mean lift share, and its interval on a second line."""
    return f"{number(found['mean'], 2)}\n{bounds(found, 2)}"


def median(found: Mapping[str, Any]) -> str:
    """Return a median lift share, and its interval on a second line."""
    return f"{number(found['median'], 2)}\n{bounds(found, 2, 'median_')}"


def means(shares: Mapping[str, Any]) -> str:
    """Return the mean lift share of each model, for who cannot see the bars."""
    return ", ".join(f"{title(name)} {number(found['mean'], 2)}" for name, found in shares.items())


def signed(found: Mapping[str, Any]) -> str:
    """Return a difference with its sign and interval, for a sentence."""
    if found["low"] is None:
        return number(found["value"], 2, plus=True)
    return (
        f"{number(found['value'], 2, plus=True)} ({number(found['low'], 2, plus=True)} to "
        f"{number(found['high'], 2, plus=True)})"
    )


def number(value: float, digits: int, *, plus: bool = False) -> str:
    """Return a number with a true minus sign."""
    text = f"{value:+.{digits}f}" if plus else f"{value:.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")  # zero has no sign
    return text.replace("-", _MINUS)


def counted(number: int, thing: str) -> str:
    """Return a number of things."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def label_counts(found: Mapping[str, Any]) -> str:
    """Return what n must be read with: positives, classes, or the mean label."""
    if "positives" in found:
        return f"{found['positives']:,} positive"
    if "classes" in found:
        return f"{sum(count > 0 for count in found['classes'])} classes"
    return "mean " + (NOTHING if found["mean"] is None else number(found["mean"], 2))
