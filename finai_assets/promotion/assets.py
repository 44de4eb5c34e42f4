"""The Dagster asset of promotion: the verdict on a challenger, and the champion that it made or left."""

import json
from dataclasses import asdict

import dagster as dg

from finai_assets.asset_graph import BUNDLE, CHAMPION, PUBLISHED
from finai_assets.automation.specs import spec_of, stored, writing
from finai_assets.bundle.lineage import lineage_of
from finai_assets.bundle.registry import CHALLENGER, CHAMPION_ALIAS, Registry, register
from finai_assets.platform import Platform
from finai_assets.promotion.decide import Decision, decide
from finai_assets.promotion.facts import FACTS, VERDICT, Facts, Verdict
from finai_assets.promotion.gather import Desk
from finai_resources.errors import PromotionError
from finai_resources.gates import Evidence
from finai_resources.home_resource import HomeResource
from finai_resources.json_text import plain, to_json
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession


class Challenge(dg.Config):
    """Which bundle is judged.

    Attributes
    ----------
    bundle : str
        An alias, an id, or an id's first digits.
    """

    bundle: str = CHALLENGER


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the champion, where there is a bundle."""
    if CHAMPION not in platform.graph:
        return []
    description = (
        "The verdict on a challenger: every criterion with its figures. Only one that holds whole moves the champion."
    )

    @dg.multi_asset(name="champion", specs=[spec_of(platform, CHAMPION, description, {"json"})])
    def champion(
        config: Challenge, lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Evidence]
    ) -> dg.MaterializeResult:
        session = lake.session()
        desk = desk_of(platform, session, gates, home)
        if config.bundle == CHALLENGER:
            register_stored(platform, session)
        registry = Registry.read(session.lake)
        chosen = registry.find(config.bundle)
        if chosen == registry.aliases.get(CHAMPION_ALIAS) and _is_stored(session, chosen):
            return stored(session, CHAMPION, champion=chosen, remark="it is the champion already; its verdict stays")
        decision = decide(desk, chosen)
        with writing(session, platform, CHAMPION) as out:
            out.put(VERDICT, to_json(plain(decision.verdict.to_json()), indent=1))
            out.put(FACTS, to_json(plain(decision.facts.to_json() if decision.facts else None), indent=1))
        after = Registry.read(session.lake).aliases
        return stored(session, CHAMPION, **_told(decision), champion=after.get(CHAMPION_ALIAS, "none"))

    return [champion]


def desk_of(platform: Platform, session: LakeSession, evidence: Evidence, home: HomeResource) -> Desk:
    """Return the desk of a data set: with the settings that the asset receives, and no others."""
    return Desk(
        session,
        platform.graph.settings_of(CHAMPION),
        tuple(task.name for task in platform.available_tasks),
        evidence,
        home.secrets().key("signing"),
        home.path,
    )


def register_stored(platform: Platform, session: LakeSession) -> str:
    """Register the published bundle anew, with what was measured of it since it was built; return its id.

    Raises
    ------
    PromotionError
        ``BUNDLE_MISSING``: no bundle is stored. ``BUNDLE_UNPUBLISHED``: the one that is stored was not published, since its own
        checks have not passed.
    """
    built, published = session.find(BUNDLE), session.lake.find(PUBLISHED)
    if built is None:
        raise PromotionError("BUNDLE_MISSING", "no bundle is stored", where=BUNDLE, fix="`finai run` builds one")
    if published is None or published.upstream.get(BUNDLE) != built.content_hash:
        raise PromotionError(
            "BUNDLE_UNPUBLISHED",
            "the bundle that is stored was not published, as its own checks have not passed",
            where=BUNDLE,
            fix="`finai run` names the check; an older bundle is promoted by its id",
        )
    asked = [path for path, read in platform.graph.reads(BUNDLE) if not read.data]
    measured = [path for path, read in platform.graph.reads(CHAMPION) if not read.data and path != PUBLISHED]
    asked += [path for path in measured if _is_of_bundle(session, path)]
    return register(session.lake, session.read_files(BUNDLE), lineage_of(session.lake, BUNDLE, asked))


def _is_of_bundle(session: LakeSession, path: str) -> bool:
    """Return whether what was measured of a bundle is stored, and is of the bundle that is stored now."""
    measured = session.lake.find(path)
    return measured is not None and measured.upstream.get(BUNDLE) == session.lake.manifest(BUNDLE).content_hash


def read_decision(session: LakeSession, bundle_id: str) -> Decision:
    """Return the decision that is stored, and whether its bundle is champion.

    Raises
    ------
    LakeError
        There is none.
    PromotionError
        ``VERDICT_MISSING``: the stored one is of another bundle.
    """
    facts = session.read_json(CHAMPION, None, FACTS)
    verdict = Verdict.from_json(session.read_json(CHAMPION, None, VERDICT))
    if verdict.bundle != bundle_id:
        text = f"the stored verdict is one on {verdict.bundle}"
        raise PromotionError("VERDICT_MISSING", text, where=CHAMPION, fix="`finai promote` again")
    champion = Registry.read(session.lake).aliases.get(CHAMPION_ALIAS)
    return Decision(verdict, Facts.from_json(facts) if facts else None, verdict.passed and champion == bundle_id)


def _is_stored(session: LakeSession, bundle_id: str) -> bool:
    found = session.lake.find(CHAMPION)
    return found is not None and bool(
        json.loads(session.lake.read_bytes(CHAMPION, None, VERDICT))["bundle"] == bundle_id
    )


def _told(decision: Decision) -> dict[str, object]:
    verdict = decision.verdict
    facts = decision.facts
    tables: dict[str, list[dict[str, str | int | float | bool]]] = {
        "criteria": [
            {"criterion": c.name, "holds": c.passed, "code": c.code, "n": c.n, "reason": c.reason}
            for c in verdict.criteria
        ],
        "comparison": [
            {name: _cell(value) for name, value in asdict(row).items()} for row in (facts.comparison if facts else ())
        ],
        "moved": [
            {name: _cell(value) for name, value in asdict(row).items()} for row in (facts.shifts if facts else ())
        ],
    }
    return {
        "challenger": verdict.bundle,
        "promoted": decision.promoted,
        "codes": ", ".join(verdict.codes) or "none",
        "awaited": ", ".join(verdict.awaited) or "none",
        "warnings": "; ".join(verdict.warnings) or "none",
        **{
            name: dg.MetadataValue.table([dg.TableRecord(row) for row in rows]) for name, rows in tables.items() if rows
        },
    }


def _cell(value: object) -> str | int | float | bool:
    if isinstance(value, float):
        return round(value, 4)
    return value if isinstance(value, str | int) else ""
