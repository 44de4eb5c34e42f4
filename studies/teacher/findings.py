"""Puts a comparison into words: one sentence for each variant, and one reading for each published claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from studies.teacher.claims import Claim, claims_of
from studies.teacher.compare import BETTER, NOTHING, UNJUDGED, WORSE

Told = Mapping[str, Any]


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{value:+.4f}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval; empty where there is none."""
    return "" if low is None or high is None else f"[{low:+.4f}, {high:+.4f}]"


def tally(summary: Told) -> str:
    """Return how many variants are better, worse, and neither; the control is none of them."""
    verdicts = [variant["mean"]["verdict"] for variant in summary["variants"] if variant["theme"] != "control"]
    counts = {verdict: verdicts.count(verdict) for verdict in (WORSE, BETTER, NOTHING, UNJUDGED)}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    return f"Of {len(verdicts)} variants, by mean skill: {told}."


def finding(variant: Told, summary: Told) -> str:
    """Return the finding of a variant in words, null results included."""
    mean, name = variant["mean"], variant["name"]
    figures = f"{signed(mean['difference'])} {interval(mean['low_customers'], mean['high_customers'])}".strip()
    told = f"`{name}`: {variant['asks']} "
    if mean["verdict"] == UNJUDGED:
        return f"{told}Not judged from one seed ({figures})."
    count = f"{variant['seeds']} seeds"
    if mean["verdict"] == NOTHING:
        told += f"**No difference shown** in mean skill over {count} ({figures})"
        if mean["detectable"] is not None:
            told += f"; one of {mean['detectable']:.4f} would have shown"
        told += "."
    else:
        told += f"Mean skill is **{mean['verdict']}** by {abs(mean['difference']):.4f} over {count} ({figures}; p "
        told += f"{mean['p_adjusted']:.2g} corrected)."
    return told + _single_tasks(variant, summary)


def _single_tasks(variant: Told, summary: Told) -> str:
    """Return which single tasks the variant changes, the most changed first."""
    parts = []
    for verdict in (WORSE, BETTER):
        found = [(name, task) for name, task in variant["tasks"].items() if task["verdict"] == verdict]
        found.sort(key=lambda item: -abs(item[1]["difference"]))
        if found:
            named = ", ".join(
                f"{name} ({summary['tasks'][name]['metric']} {signed(task['difference'])})" for name, task in found
            )
            parts.append(f"{verdict} on {named}")
    return f" By task: {'; '.join(parts)}." if parts else " No single task is shown to change."


def claim_row(variant: Told) -> Iterator[str]:
    """Yield a row of the table of published claims for each claim about this variant."""
    for claim in claims_of(variant["changes"]):
        here, reading = read_claim(claim, variant)
        yield f"| `{variant['name']}` | {claim.says} | {claim.source} | {here} | {reading} |"


def read_claim(claim: Claim, variant: Told) -> tuple[str, str]:
    """Return the figures that a claim is compared with, and whether they agree.

    A claim with a size in AUC is read against the mean AUC of the binary tasks, any other against the mean skill.
    """
    sized = claim.auc is not None and "auc" in variant["kinds"]
    found = variant["kinds"]["auc"] if sized else variant["mean"]
    low, high = found["low_customers"], found["high_customers"]
    here = f"{'mean AUC' if sized else 'mean skill'} {signed(found['difference'])} {interval(low, high)}".strip()
    if found["verdict"] == UNJUDGED:
        return here, "one seed decides nothing"
    if low is None or high is None:
        return here, "no interval"
    return here, _sized(claim, found) if sized else _directed(claim.direction, found)


def _sized(claim: Claim, found: Told) -> str:
    inside = claim.auc is not None and found["low_customers"] <= claim.auc <= found["high_customers"]
    return f"the interval {'contains' if inside else 'excludes'} {claim.auc:+.3f}; {found['verdict']}"


def _directed(direction: int, found: Told) -> str:
    low, high, verdict = found["low_customers"], found["high_customers"], found["verdict"]
    if direction == 0:
        if verdict == NOTHING:
            return (
                "agrees: no difference shown"
                if low <= 0 <= high
                else "agrees so far: the interval excludes zero, p does not"
            )
        return f"does not agree: {verdict} here"
    if verdict == (BETTER if direction > 0 else WORSE):
        return f"seen here too: {verdict}"
    if verdict != NOTHING:
        return f"the opposite here: {verdict}"
    bound = high if direction > 0 else -low
    word = "gain" if direction > 0 else "loss"
    if bound <= 0:
        return f"not seen here; the interval leaves no {word}"
    return f"not seen here; a {word} above {bound:.4f} lies outside the interval"
