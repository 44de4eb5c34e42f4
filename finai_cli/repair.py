"""What a run does about damage: partitions that are damaged are put aside, told of, and so computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

from finai_assets.asset_graph import AssetGraph
from finai_checks.framework.evidence_log import evidence_log
from finai_cli.plan import Stage
from finai_resources.errors import FinaiError
from finai_resources.lake import Lake
from finai_resources.leases import leased
from finai_resources.manifest import address
from finai_resources.quarantine import Damage, is_told, note_told, put_aside
from finai_resources.secrets import SecretStore
from finai_resources.survey import survey

NAME = "damaged_partition"  # of the entries in the evidence log
Done = TypeVar("Done")
NOT_OURS = "run what makes it, or delete its folder"


def damaged_partitions(lake: Lake, graph: AssetGraph, stages: list[Stage], console: Console) -> list[Damage]:
    """Return the damages of the lake's partitions, after printing one line for each; nothing is written.

    Where what the generator stores beside the source is damaged, the source counts as damaged too.
    """
    made = {address(path, unit.partition) for stage in stages for unit in stage.units for path in unit.assets}
    found = survey(lake)
    damages = [*found.damages, *found.aside]
    for damage in tuple(damages):
        maker = graph.maker(damage.asset)
        own = maker == damage.asset
        of_this_job = maker is not None and address(maker, damage.partition if own else None) in made
        what = "computed again" if of_this_job else f"put aside (this job does not make it: {NOT_OURS})"
        console.print(f"damaged, {what}: {damage}", markup=False, highlight=False, soft_wrap=True)
        if maker is not None and not own and of_this_job and not any(other.address == maker for other in damages):
            damages.append(Damage(maker, None, damage.file, f"{damage.address}, which it wrote, is damaged"))
    return damages


def repairing(
    lake: Lake,
    secrets: SecretStore,
    damages: list[Damage],
    work: Callable[[], Done],
    look: Callable[[], list[Damage]],
) -> Done:
    """Put damaged partitions aside and do the work, from the beginning again where it came upon new damage.

    A file whose content alone is damaged is found when it is read. Each partition is computed again at most once.

    Parameters
    ----------
    secrets
        Where the key of the evidence log lies.
    damages
        What is known to be damaged before.
    work
        Computes what is absent.
    look
        Returns what is damaged now.

    Raises
    ------
    FinaiError
        That of the work, where nothing was found damaged that was not put aside before.
    """
    repaired: set[str] = set()
    while True:
        put_all_aside(lake, secrets, damages)
        repaired |= {damage.address for damage in damages}
        try:
            return work()
        except FinaiError:
            damages = look()
            if not {damage.address for damage in damages} - repaired:
                raise


def put_all_aside(lake: Lake, secrets: SecretStore, damages: list[Damage]) -> None:
    """Put damaged partitions aside, so that they count as absent, and enter each in the evidence log once.

    Raises
    ------
    LeaseError
        Another process writes one of them.
    """
    with leased(lake, [(damage.asset, damage.partition) for damage in damages]):
        put_aside(lake, damages)
    told: dict[tuple[str, str | None], Damage] = {}
    for damage in damages:
        if not is_told(lake, damage.asset, damage.partition):
            told.setdefault((damage.asset, damage.partition), damage)
    if not told:
        return
    log = evidence_log(lake, secrets, appends=True)
    for (asset, partition), entry in zip(told, log.append_all(map(_record, told.values())), strict=True):
        note_told(lake, asset, partition, entry.sequence)


def _record(damage: Damage) -> dict[str, object]:
    """Return the entry of the evidence log, in the form of a check's."""
    return {
        "check": "",
        "name": NAME,
        "asserts": "Every stored file is the one that its manifest lists",
        "asset": damage.address,
        "passed": False,
        "overridden": False,
        "severity": "error",
        "reason": f"{damage.file}: {damage.what}",
        "n": 1,
        "units": "files",
        "observed": {},
        "data_version": None,
    }
