"""Realism of a panel in figures: what it looks like, how fast it moves, and how well the best possible model could do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from finai_assets.ingest.synthetic.compile import leaf_codes
from finai_assets.ingest.synthetic.record import STATE
from finai_assets.ingest.synthetic.sums import AMOUNT_BINS, LAGS, Sums, add_sums, block_sums
from finai_assets.ingest.synthetic.truth import TaskTruth
from finai_assets.settings import Settings

__all__ = ["GeneratorReport", "Sums", "add_sums", "block_sums", "render", "summarise"]

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class GeneratorReport:
    """Figures of a panel, nested by theme, the last of which is ``tasks``: by task."""

    figures: dict[str, Any]


def summarise(sums: Sums, truths: Sequence[TaskTruth], settings: Settings) -> GeneratorReport:
    """Turn the sums over all blocks into figures."""
    months = [month.key for month in settings.dataset.snapshot_months]
    tasks = {of.task: _task(sums, of.task, of.kind, months) for of in truths}
    return GeneratorReport(
        {
            "size": _size(sums, settings),
            "products": _products(sums, settings),
            "payments": _payments(sums),
            "state": _state(sums, settings),
            "categories": _categories(sums, settings),
            "offers": _offers(sums),
            "tasks": tasks,
        }
    )


def _size(sums: Sums, settings: Settings) -> dict[str, Any]:
    years = float(sums["pairs_of_months"]) / 12
    return {
        "customers": int(sums["customers"]),
        "months": len(settings.dataset.raw_months),
        "customer_months": int(sums["customer_months"]),
        "payments": int(sums["payments"]),
        "joined_a_year": float(sums["joined"]) / years,
        "left_a_year": float(sums["left"]) / years,
    }


def _products(sums: Sums, settings: Settings) -> dict[str, Any]:
    number = sums["number_held"]
    rows = float(sums["customer_months"])
    holders = sums["held"].astype(np.float64)
    return {
        "held_mean": float(number @ np.arange(len(number)) / rows),
        "held_quantiles": _quantiles(number, np.arange(len(number))),
        "by_product": {
            product.code: {
                "held": holders[i] / rows,
                "opened_a_month": float(sums["opened"][i] / max(1, sums["could_open"][i])),
                "closed_a_month": float(sums["closed"][i] / max(1.0, sums["pairs_of_months"] - sums["could_open"][i])),
            }
            for i, product in enumerate(settings.products)
        },
    }


def _payments(sums: Sums) -> dict[str, Any]:
    count, rows, total = sums["payments_a_month"], float(sums["customer_months"]), float(sums["payments"])
    middle = np.sqrt(AMOUNT_BINS[1:] * AMOUNT_BINS[:-1])
    return {
        "a_month_mean": total / rows,
        "a_month_quantiles": _quantiles(count, np.arange(len(count))),
        "months_without": float(count[0]) / rows,
        "amount_mean": float(sums["amount_sum"]) / total,
        "amount_quantiles": _quantiles(sums["amounts"], middle),
        "refund_share": float(sums["refunds"]) / total,
        "hours": (sums["hours"] / total).tolist(),
        "weekdays": (sums["weekdays"] / total).tolist(),
        "autocorrelation": {str(lag): _correlation(sums[f"lag_{lag}"]) for lag in LAGS},
    }


def _state(sums: Sums, settings: Settings) -> dict[str, Any]:
    rows = float(sums["customer_months"])
    mean = sums["state_sum"] / rows
    deviation = np.sqrt(np.maximum(0.0, sums["state_squares"] / rows - mean**2))
    figures: dict[str, Any] = {
        name: {"mean": float(mean[i]), "std": float(deviation[i])}
        for i, name in enumerate(STATE)
        if name in ("wealth", "risk", "engagement")
    }
    figures["dormant"], figures["leaving"] = (float(mean[STATE.index(name)]) for name in ("dormant", "leaving"))
    figures["in_episode"] = float(sums["in_episode"]) / rows
    figures["segments"] = dict(zip(settings.dataset.segments, (sums["segments"] / rows).tolist(), strict=True))
    figures["segment_moves_a_year"] = 12 * float(sums["segment_moves"]) / float(sums["pairs_of_months"])
    return figures


def _categories(sums: Sums, settings: Settings) -> dict[str, Any]:
    pairs = sums["transitions"].astype(np.float64)
    joint = pairs / pairs.sum()
    before, after = joint.sum(axis=1), joint.sum(axis=0)
    expected = np.outer(before, after)
    seen = joint > 0
    moves = joint - np.diag(np.diag(joint))
    shares = dict(zip(map(str, leaf_codes(settings).tolist()), before.tolist(), strict=True))
    return {
        "shares": shares,
        "entropy": float(-(before[before > 0] * np.log(before[before > 0])).sum()),
        # mutual information of consecutive categories in nats; and how much a-then-b differs from b-then-a
        "mutual_information": float((joint[seen] * np.log(joint[seen] / expected[seen])).sum()),
        "asymmetry": float(np.abs(moves - moves.T).sum() / (2 * moves.sum())),
    }


def _offers(sums: Sums) -> dict[str, Any]:
    rows = float(sums["customer_months"])
    return {
        "valid_risk_profile": float(sums["profiles_valid"]) / rows,
        "marketing_consent": float(sums["marketing_consents"]) / rows,
        "objection": float(sums["objections"]) / rows,
        "messages_a_month": float(sums["messages"]) / rows,
    }


def _task(sums: Sums, task: str, kind: str, months: Sequence[str]) -> dict[str, Any]:
    rows, label, truth = sums[f"{task}/rows"], sums[f"{task}/label"], sums[f"{task}/truth"]
    total = float(rows.sum())
    if kind == "multiclass":
        share = label.sum(axis=0) / total
        return {
            "rows": int(total),
            "shares": share.tolist(),
            "true_shares": (truth / total).tolist(),
            "log_loss_ceiling": float(sums[f"{task}/log_loss"]) / total,
            "log_loss_of_shares": float(-(share[share > 0] * np.log(share[share > 0])).sum()),
            "accuracy_ceiling": float(sums[f"{task}/hits"]) / total,
        }
    by_month = {month: float(part / n) if n else None for month, part, n in zip(months, label, rows, strict=True)}
    figures = {
        "rows": int(total),
        "mean": float(label.sum()) / total,
        "true_mean": float(truth) / total,
        "by_month": by_month,
    }
    if kind == "regression":
        squares, errors = sums[f"{task}/squares"]
        return figures | {"r2_ceiling": float(1 - errors / (squares - float(label.sum()) ** 2 / total))}
    tenths = [sums[f"{task}/tenth_{name}"] for name in ("rows", "label", "truth")]
    calibration = [
        {"rows": int(n), "rate": float(y / n), "truth": float(p / n)} for n, y, p in zip(*tenths, strict=True) if n
    ]
    auc = _auc(sums[f"{task}/positives"], sums[f"{task}/negatives"])
    return figures | {"auc_ceiling": auc, "calibration": calibration}


def _auc(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """Return the area under the ROC curve from counts by ascending score; ties count half."""
    if not positives.sum() or not negatives.sum():
        return None
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))


def _quantiles(counts: np.ndarray, values: np.ndarray) -> dict[str, float]:
    cumulative = np.cumsum(counts) / counts.sum()
    return {str(q): float(values[np.searchsorted(cumulative, q)]) for q in QUANTILES}


def _correlation(moments: np.ndarray) -> float | None:
    n, x, y, xx, yy, xy = moments
    spread = (xx - x * x / max(1.0, n)) * (yy - y * y / max(1.0, n))
    return float((xy - x * y / n) / np.sqrt(spread)) if spread > 0 else None


def render(report: GeneratorReport) -> list[Table]:
    """Return the figures as tables for a terminal."""
    figures = report.figures
    overview = Table("figure", "value", title="Synthetic panel")
    for theme in ("size", "payments", "state", "categories", "offers"):
        for name, value in figures[theme].items():
            if isinstance(value, int | float):
                overview.add_row(f"{theme}: {name}", f"{value:,}" if isinstance(value, int) else f"{value:,.4g}")
    overview.add_row("products: held_mean", f"{figures['products']['held_mean']:.4g}")
    for lag, value in figures["payments"]["autocorrelation"].items():
        overview.add_row(f"payments: autocorrelation at {lag} months", "-" if value is None else f"{value:.3f}")
    products = Table("product", "held", "opened a month", "closed a month", title="Products")
    for code, row in figures["products"]["by_product"].items():
        products.add_row(code, *(f"{row[name]:.2%}" for name in ("held", "opened_a_month", "closed_a_month")))
    tasks = Table("task", "rows", "mean label", "mean truth", "ceiling", title="Tasks")
    for name, row in figures["tasks"].items():
        if "log_loss_ceiling" in row:
            mean, truth = "-", "-"
            ceiling = f"log-loss {row['log_loss_ceiling']:.3f} (shares {row['log_loss_of_shares']:.3f})"
        else:
            mean, truth = f"{row['mean']:.4f}", f"{row['true_mean']:.4f}"
            kind, best = ("R2", row["r2_ceiling"]) if "r2_ceiling" in row else ("AUC", row["auc_ceiling"])
            ceiling = "-" if best is None else f"{kind} {best:.3f}"
        tasks.add_row(name, f"{row['rows']:,}", mean, truth, ceiling)
    return [overview, products, tasks]
