"""Run requests of sensors: each is made once for a state of the lake and its source, whatever became of the run.

A sensor says what it wants now, by name. What it wanted at its last tick, and still wants, is not requested again; its cursor
holds these names with their run keys. A name that was gone in between and is wanted again gets another run key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class Wanted:
    """One run that a sensor wants.

    Parameters
    ----------
    name : str
        Of the reason: the same while the same is wanted for the same reason.
    job : str
    month : str
        Key of the partition, ``2016-05-01``.
    assets : tuple of AssetKey
        Those of the job that are meant; empty for all.
    checks : tuple of AssetCheckKey
        The checks of these assets that belong to the run.
    tags : mapping
        Shown beside the run.
    """

    name: str
    job: str
    month: str
    assets: tuple[dg.AssetKey, ...] = ()
    checks: tuple[dg.AssetCheckKey, ...] = ()
    tags: Mapping[str, str] | None = None


def requested(wanted: Sequence[Wanted], cursor: str | None, stamp: int) -> tuple[list[dg.RunRequest], str]:
    """Return the requests of what is newly wanted, and the cursor for the next tick.

    Parameters
    ----------
    cursor
        What this function returned at the last tick; None at the first.
    stamp
        A number that grows with the lake's history, by which run keys of the same name differ.
    """
    before: dict[str, str] = json.loads(cursor) if cursor else {}
    keys = {each.name: before.get(each.name, f"{each.name}:{stamp}") for each in wanted}
    new = [
        dg.RunRequest(
            run_key=keys[each.name],
            job_name=each.job,
            partition_key=each.month,
            asset_selection=list(each.assets) or None,
            asset_check_keys=list(each.checks) if each.assets else None,
            tags={"finai/why": each.name, **(each.tags or {})},
        )
        for each in wanted
        if each.name not in before
    ]
    return new, json.dumps(keys, sort_keys=True)
