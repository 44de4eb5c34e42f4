"""Runs over one month or over a range of months, whose results are logged for each month.

A ranged run is one run of Dagster over several partitions. Dagster 1.13 gives every partition of it the same result, and stores
a check of it once, without a partition; so each month is logged once more under its own name, with its own figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from finai_resources.event_log import log_materializations
from finai_resources.months import Month

DATA_VERSION_TAG, CODE_VERSION_TAG = "dagster/data_version", "dagster/code_version"


@dataclass(frozen=True, slots=True)
class Materialised:
    """One asset and month that a run stored; ``beside`` are the materialisations that follow from it, such as columns."""

    asset: str
    version: str
    metadata: Mapping[str, Any]
    beside: Sequence[dg.AssetMaterialization] = field(default=())


def months_of(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> list[Month]:
    """Return the months of a run, ascending."""
    return sorted(Month.parse(key) for key in context.partition_keys)


def yield_months(
    context: dg.AssetExecutionContext,
    results: Iterable[tuple[Month, Sequence[Materialised]]],
    failed: Callable[[], Collection[str]] = tuple,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Yield the result of each asset, and log every month of a range under its own partition.

    Parameters
    ----------
    results
        Months in order, each with what it stored. It is consumed as it goes: a month is on disk before the next one begins.
    failed
        Says at the end which assets a month lacks because they could not be computed. They are logged for the other months
        alone: what is yielded stands in every partition of the run, and would show the failed month as filled.
    """
    found = [(month, list(stored)) for month, stored in _logged(context, results)]
    lacking = failed()
    last = {stored.asset: stored for _, month in found for stored in month if stored.asset not in lacking}
    for stored in last.values():
        yield dg.MaterializeResult(
            asset_key=stored.asset.split("/"), metadata=stored.metadata, data_version=dg.DataVersion(stored.version)
        )
    if len(found) > 1:  # what was yielded stands in every partition; the last word is the month's own
        log_materializations(
            context,
            [
                dg.AssetMaterialization(
                    stored.asset.split("/"),
                    partition=month.partition_key,
                    metadata=stored.metadata,
                    tags=_tags(context, stored),
                )
                for month, of_month in found
                for stored in of_month
            ],
        )


def _tags(context: dg.AssetExecutionContext, stored: Materialised) -> dict[str, str]:
    """Return what Dagster itself writes beside a result, so that a month of a range counts as current."""
    code = context.assets_def.code_versions_by_key.get(dg.AssetKey(stored.asset.split("/")))
    version = {DATA_VERSION_TAG: stored.version, f"{DATA_VERSION_TAG}_is_user_provided": "true"}
    return {**version, **({CODE_VERSION_TAG: code} if code else {})}


def _logged(
    context: dg.AssetExecutionContext, results: Iterable[tuple[Month, Sequence[Materialised]]]
) -> Iterator[tuple[Month, Sequence[Materialised]]]:
    for month, stored in results:
        for entry in stored:
            if entry.beside:
                log_materializations(context, entry.beside)
        yield month, stored
