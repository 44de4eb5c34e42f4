"""Which bundle scores a month: that of today, or one that somebody names, as far as anybody vouches for it."""

from __future__ import annotations

from finai_assets.asset_graph import BUNDLE, PUBLISHED, RECOMMENDATIONS, SCORED_BY
from finai_assets.bundle.registry import CHAMPION_ALIAS, Registry, id_of, scoring
from finai_resources.errors import BundleError
from finai_resources.lake import Lake
from finai_resources.manifest import address
from finai_resources.months import Month
from serving_lambda.bundle import MANIFEST


def bundle_for(lake: Lake, month: Month, name: str, *, replace: bool = False) -> str:
    """Return the id of a named bundle that is to score a month.

    Parameters
    ----------
    name
        ``champion``, ``challenger``, ``previous``, an id, or an id's first digits. The bundle that scores today
        (:func:`finai_assets.bundle.registry.scoring`) replaces any other's table.
    replace
        Whether the named bundle may replace what another one made of the month.

    Raises
    ------
    BundleError
        There is no such bundle; it is neither stored as ``serving/bundle`` nor was ever champion, so that no check vouches for
        it; or the month was scored by another one.
    PromotionError
        The registry's log was tampered with.
    """
    registry = Registry.read(lake)
    bundle_id = registry.find(name)
    today = scoring(lake)
    if bundle_id == today:
        return bundle_id
    champions = {entry.record["aliases"].get(CHAMPION_ALIAS) for entry in registry.entries if "aliases" in entry.record}
    if bundle_id not in {*champions, stored_bundle(lake)}:
        raise BundleError(
            f"the bundle {bundle_id} was never champion and is no longer {BUNDLE}, so that no check vouches for it",
            where="--bundle",
            fix="name champion, challenger or previous; or promote it first",
        )
    made = lake.find(RECOMMENDATIONS, month.key)
    if made is not None and made.extra.get(SCORED_BY) not in {bundle_id, None} and not replace:
        raise BundleError(
            f"{month} was scored by {made.extra[SCORED_BY]}, whose table would be lost",
            where=address(RECOMMENDATIONS, month.key),
            fix=f"--replace, if that is meant; without --bundle, {today} scores the month again",
        )
    return bundle_id


def stored_bundle(lake: Lake) -> str | None:
    """Return the id of the bundle that is stored as an asset, None where there is none."""
    return id_of({MANIFEST: lake.read_bytes(BUNDLE, None, MANIFEST)}) if lake.find(BUNDLE) else None


def beside(lake: Lake, named: str = "") -> tuple[str, ...]:
    """Return whose checks are not asked: the stored bundle's where a champion, of now or before, scores in its place.

    That one's own checks its promotion asked. Without a named bundle, today's scores.
    """
    if CHAMPION_ALIAS not in Registry.read(lake).aliases or stored_bundle(lake) == (named or scoring(lake)):
        return ()
    return BUNDLE, PUBLISHED
