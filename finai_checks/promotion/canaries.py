"""C29 and C30, the inputs that prove them: a challenger that may become champion, and one spoiled in each way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from finai_assets.asset_graph import CHAMPION
from finai_assets.bundle.registry import Registry
from finai_assets.promotion.facts import FACTS, VERDICT, Facts, Fault, TaskComparison
from finai_assets.promotion.lattice import judge
from finai_assets.promotion.signatures import Signer, Statement
from finai_assets.settings import Settings
from finai_assets.settings.promotion import PersonSettings, PromotionSettings
from finai_checks.framework.check import Canary, CheckKind, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.promotion.checks import BEATS_CHAMPION, SIGNED_BY_OTHER
from finai_checks.promotion.verdicts import beats_champion, signed_by_other
from finai_resources.gates import CheckResult
from finai_resources.json_text import to_json

# Keys of nobody: they sign canaries alone.
KIM, LEE = Signer("kim", bytes(range(32))), Signer("lee", bytes(range(1, 33)))
STRANGER, TWIN = Signer("lee", bytes(range(2, 34))), Signer("lee", KIM.private)
PROPOSED, APPROVED, NOW = (
    "2026-03-02T09:00:00.000+00:00",
    "2026-03-02T10:00:00.000+00:00",
    "2026-03-02T11:00:00.000+00:00",
)
CHECKED = "2026-03-01T08:00:00.000+00:00"
STATEMENT = Statement("promote", "b2", "hash of b2", "its lineage", 10, "head", "", PROPOSED)


def people(settings: PromotionSettings, **more: PersonSettings) -> PromotionSettings:
    """Return the settings with an author, an approver, and more people."""
    known = {
        "kim": PersonSettings(key=KIM.key, roles=("author", "approver")),
        "lee": PersonSettings(key=LEE.key, roles=("approver",)),
        **more,
    }
    return settings.model_copy(update={"people": known})


def signed(signer: Signer, role: str, at: str, statement: Statement = STATEMENT) -> dict[str, Any]:
    """Return a signed statement as the registry stores it."""
    return {"statement": asdict(statement), "signature": asdict(signer.sign(statement, role, at))}


def good_facts() -> Facts:
    """Return the facts about a challenger that may become champion."""
    check = CheckResult("C13", "gap_split", "labels of all months", "passed", "", CHECKED, 4)
    better = TaskComparison("churn_signal", "auc", 500, 0.75, 0.70, 0.05, 0.02, 0.08, "better")
    return Facts(
        bundle="b2",
        manifest_hash="hash of b2",
        lineage_hash="its lineage",
        champion="b1",
        now=NOW,
        last_entry_at=APPROVED,
        tasks_expected=("churn_signal", "next_mcc"),
        tasks_present=("churn_signal", "next_mcc"),
        checks=(check,),
        awaited=("C20",),
        comparison=(better, replace(better, task="next_mcc", metric="log_loss", verdict="unclear")),
        proposal=signed(KIM, "author", PROPOSED),
        approvals=(signed(LEE, "approver", APPROVED),),
    )


def spoiled() -> dict[str, tuple[CheckKind, str, Facts]]:
    """Return, by label, facts that have to be refused, with the check that does it and its code."""
    good = good_facts()
    check, better, unclear = good.checks[0], good.comparison[0], good.comparison[1]
    reasoned = replace(STATEMENT, reason="a law asks for it")
    early = "2026-02-28T08:00:00.000+00:00"

    def beaten(code: str, **changes: Any) -> tuple[CheckKind, str, Facts]:
        return BEATS_CHAMPION, code, replace(good, **changes)

    def unsigned(code: str, **changes: Any) -> tuple[CheckKind, str, Facts]:
        return SIGNED_BY_OTHER, code, replace(good, **changes)

    def approved(*entries: Mapping[str, Any]) -> dict[str, Any]:
        return {"approvals": entries}

    worse = replace(unclear, difference=0.1, low=0.05, high=0.15, verdict="worse")
    return {
        "a clock that was set back": beaten("CLOCK_SET_BACK", last_entry_at="2026-03-02T12:00:00.000+00:00"),
        "the champion itself": beaten("ALREADY_CHAMPION", champion="b2"),
        "a bundle with a file that was changed": beaten(
            "BUNDLE_FILE_CORRUPT", integrity=(Fault("BUNDLE_FILE_CORRUPT", "rules.json was changed"),)
        ),
        "a bundle without one of the tasks": beaten("TASK_MISSING", tasks_present=("next_mcc",)),
        "an evidence log that was edited": beaten("EVIDENCE_TAMPERED", evidence_faults=("entry 3: the entry is gone",)),
        "a mandatory check that failed": beaten("CHECK_FAILED", checks=(replace(check, state="failed", reason="3 days"),)),
        "a mandatory check without a result": beaten("CHECK_MISSING", checks=(replace(check, state="missing"),)),
        "no mandatory check at all": beaten("CHECK_MISSING", checks=()),
        "a result on other content": beaten("CHECK_STALE", checks=(replace(check, state="stale"),)),
        "a result that the log does not hold": beaten("CHECK_UNPROVED", checks=(replace(check, state="unproved"),)),
        "an override that has expired": beaten("OVERRIDE_EXPIRED", checks=(replace(check, state="expired"),)),
        "a result of two years ago": beaten(
            "EVIDENCE_OLD", checks=(replace(check, recorded_at="2024-03-01T08:00:00.000+00:00"),)
        ),
        "one task significantly worse, another better": beaten("TASK_WORSE", comparison=(better, worse)),
        "a champion with columns that are gone": beaten(
            "COMPARISON_IMPOSSIBLE", comparison_faults=(Fault("COMPARISON_IMPOSSIBLE", "columns are gone"),)
        ),
        "a champion, and no comparison with it": beaten(
            "COMPARISON_EMPTY",
            comparison=(),
            proposal=signed(KIM, "author", PROPOSED, reasoned),
            **approved(signed(LEE, "approver", APPROVED, reasoned)),
        ),
        "one task that was not compared": beaten("COMPARISON_EMPTY", comparison=(better,)),
        "no task better, and no reason": beaten("NO_GAIN", comparison=(replace(better, verdict="unclear"), unclear)),
        "no proposal": unsigned("PROPOSAL_MISSING", proposal=None),
        "a proposal of another bundle": unsigned("PROPOSAL_OF_ANOTHER_BUNDLE", manifest_hash="another"),
        "a bundle that was registered anew since": unsigned("PROPOSAL_OF_ANOTHER_LINEAGE", lineage_hash="another"),
        "checks that ran after the proposal": unsigned(
            "PROPOSAL_OLDER_THAN_EVIDENCE", checks=(replace(check, sequence=10),)
        ),
        "a proposal by somebody who may only approve": unsigned("ROLE_MISSING", proposal=signed(LEE, "author", PROPOSED)),
        "a statement that was changed after it was signed": unsigned(
            "SIGNATURE_WRONG", proposal={**signed(KIM, "author", PROPOSED), "statement": asdict(reasoned)}
        ),
        "no approval": unsigned("APPROVAL_MISSING", approvals=()),
        "the author's own approval": unsigned("OWN_APPROVAL", **approved(signed(KIM, "approver", APPROVED))),
        "the author's key under another name": unsigned("SAME_KEY", **approved(signed(TWIN, "approver", APPROVED))),
        "a name that was typed, with a key of nobody": unsigned(
            "UNKNOWN_KEY", **approved(signed(STRANGER, "approver", APPROVED))
        ),
        "an approval by somebody unknown": unsigned(
            "UNKNOWN_PERSON", **approved(signed(Signer("park", STRANGER.private), "approver", APPROVED))
        ),
        "the author's role in an approver's signature": unsigned(
            "SIGNATURE_WRONG", **approved(signed(LEE, "author", APPROVED))
        ),
        "an approval of another bundle": unsigned(
            "APPROVAL_OF_ANOTHER_BUNDLE", **approved(signed(LEE, "approver", APPROVED, replace(STATEMENT, bundle="b3")))
        ),
        "an approval of an earlier proposal": unsigned(
            "APPROVAL_OUTDATED", **approved(signed(LEE, "approver", APPROVED, reasoned))
        ),
        "an approval older than the evidence": unsigned(
            "APPROVAL_OLDER_THAN_EVIDENCE", **approved(signed(LEE, "approver", early))
        ),
        "an approval of tomorrow": unsigned(
            "CLOCK_SET_BACK", **approved(signed(LEE, "approver", "2026-03-03T10:00:00.000+00:00"))
        ),
    }  # fmt: skip


def let_pass() -> dict[str, Facts]:
    """Return, by label, facts that no criterion refuses."""
    good = good_facts()
    reasoned = replace(STATEMENT, reason="a law asks for it")
    unclear = tuple(replace(row, verdict="unclear") for row in good.comparison)
    overridden = replace(good.checks[0], state="overridden", reason="overridden by park until 2026-05-01: 29 days")
    return {
        "better on one task, and signed by two": good,
        "the first champion": replace(good, champion="", comparison=()),
        "better on no task, for a reason that is given": replace(
            good,
            comparison=unclear,
            proposal=signed(KIM, "author", PROPOSED, reasoned),
            approvals=(signed(LEE, "approver", APPROVED, reasoned),),
        ),
        "a failed check under an override that counts": replace(good, checks=(overridden,)),
        "a wrong approval before a right one": replace(
            good, approvals=(signed(KIM, "approver", APPROVED), *good.approvals)
        ),
    }


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return facts that each check must let pass, and facts spoiled in each way."""
    known = people(settings.promotion)

    def canary(kind: CheckKind, label: str, expects: str | None, facts: Facts) -> Canary:
        judge_again = beats_champion if kind is BEATS_CHAMPION else signed_by_other
        return Canary(kind, label, expects, lambda: judge_again(facts, judge(facts, known), known))

    good, doubtful = good_facts(), replace(good_facts(), champion="b2")
    return [
        *(canary(kind, label, None, facts) for kind in (BEATS_CHAMPION, SIGNED_BY_OTHER)
          for label, facts in let_pass().items()),
        *(canary(kind, label, code, facts) for label, (kind, code, facts) in spoiled().items()),
        Canary(BEATS_CHAMPION, "a stored verdict that its facts do not give", "VERDICT_DIFFERS",
               lambda: beats_champion(doubtful, judge(good, known), known)),
    ]  # fmt: skip


def lake_canaries() -> list[LakeCanary]:
    """Return stored decisions on copies of the small lake."""
    no_gain, own = spoiled()["no task better, and no reason"][2], spoiled()["the author's own approval"][2]
    return [
        LakeCanary(BEATS_CHAMPION, CHAMPION, "a stored decision for a better challenger", None, _decided(good_facts())),
        LakeCanary(
            BEATS_CHAMPION, CHAMPION, "a stored refusal of one that is not better", "NO_GAIN", _decided(no_gain)
        ),
        LakeCanary(SIGNED_BY_OTHER, CHAMPION, "stored signatures of two people", None, _decided(good_facts())),
        LakeCanary(SIGNED_BY_OTHER, CHAMPION, "a stored approval by the author", "OWN_APPROVAL", _decided(own)),
        LakeCanary(SIGNED_BY_OTHER, CHAMPION, "a champion that an unsigned entry of the registry made", "CHAMPION_UNSIGNED",
                   _usurped),
    ]  # fmt: skip


def _usurped(small: SmallLake) -> None:
    """Append an entry that makes a bundle champion, as anybody can who may write to the lake."""
    _decided(good_facts())(small)
    Registry.read(small.lake).append(
        {"kind": "registered", "bundle": "b9", "lineage": {}, "aliases": {"champion": "b9"}}
    )


def _decided(facts: Facts) -> Callable[[SmallLake], None]:
    """Return what stores the decision on some facts in a small lake, whose settings know the two people."""

    def store(small: SmallLake) -> None:
        known = people(small.settings.promotion)
        changed = small.settings.model_copy(update={"promotion": known})
        small.platform = replace(small.platform, settings=changed)
        with small.lake.write(CHAMPION) as out:
            out.put(VERDICT, to_json(judge(facts, known).to_json()))
            out.put(FACTS, to_json(facts.to_json()))

    return store
