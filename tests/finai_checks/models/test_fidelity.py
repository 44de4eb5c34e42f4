"""C23: stored figures are judged by the floors of now; a changed floor changes the verdict, and is what the evidence records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finai_assets.platform import Platform
from finai_assets.scoring.resampling import Interval
from finai_assets.settings import Settings
from finai_assets.settings.method import FidelitySettings, NoiseCeiling, TaskNoise
from finai_assets.students.card import CARD, untrained
from finai_assets.students.fidelity import AT_LEAST, Fidelity, compare_fidelity
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome
from finai_checks.framework.evidence_log import EVIDENCE
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.run import run_check
from finai_checks.models.fidelity import student_fidelity
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore

ASSET = "students/churn_signal"


@pytest.fixture(scope="module")
def floors(settings: Settings) -> FidelitySettings:
    return settings.students.fidelity


def student(
    floors: FidelitySettings, *, route: str = "DISTILL", kl: float = 0.1, n: int = 50, **changed: Any
) -> dict[str, Any]:
    """Return the card of a binary student whose divergence from its teacher is ``kl`` and that agrees with it otherwise."""
    values = {"kl": kl, **{name: float(name in AT_LEAST) for name in floors.binary}}
    measures = {name: Interval(value, value, value) for name, value in values.items()}
    verdict = compare_fidelity("binary", Fidelity(measures, n, n), floors)
    card = {
        "route": route,
        "kind": "binary",
        "reason": "",
        "fidelity": verdict.to_json() if route == "DISTILL" else None,
        "metrics": {"test": {"student": {"auc": {"value": 0.7, "n": n}}}},
    }
    return {**card, **changed}


def test_a_faithful_student_passes_and_an_unfaithful_one_fails(floors: FidelitySettings) -> None:
    assert student_fidelity("t", student(floors), floors).passed
    outcome = student_fidelity("t", student(floors, kl=0.9), floors)
    assert not outcome.passed
    assert outcome.reason == "kl 0.9 (floor 0.2)"


def test_a_student_that_copies_nothing_passes_if_it_was_evaluated(floors: FidelitySettings) -> None:
    assert student_fidelity("t", student(floors, route="DIRECT"), floors).passed
    assert student_fidelity("t", student(floors, route="DIRECT", n=0), floors).reason == "no_evidence"


def test_a_missing_student_or_missing_fidelity_fails(floors: FidelitySettings) -> None:
    for missing in (None, student(floors, fidelity=None), student(floors, n=0)):
        assert student_fidelity("t", missing, floors).reason == "no_evidence"


def test_the_stored_verdict_is_not_trusted(floors: FidelitySettings) -> None:
    card = student(floors, kl=0.9)
    card["fidelity"]["passed"] = True
    for entry in card["fidelity"]["verdicts"]:
        entry["passed"] = True
    assert not student_fidelity("t", card, floors).passed


def test_the_noise_ceiling_stands_beside_the_floors_and_decides_nothing(floors: FidelitySettings) -> None:
    outcome = student_fidelity("t", student(floors, kl=0.9), floors, {"kl": 0.95, "agreement": 0.99})
    shown = {row["measure"]: row["noise_ceiling"] for row in outcome.table}
    assert (shown["kl"], shown["agreement"], shown["jsd"]) == (0.95, 0.99, None)
    assert outcome.reason == "kl 0.9 (floor 0.2)"


def with_kl(settings: Settings, floor: float) -> Settings:
    fidelity = settings.students.fidelity.model_copy(update={"kl": floor})
    return settings.model_copy(update={"students": settings.students.model_copy(update={"fidelity": fidelity})})


def recheck(lake: Lake, settings: Settings) -> tuple[CheckOutcome, dict[str, Any]]:
    """Return the outcome on the stored student under some settings, and the entry that it leaves in the evidence log."""
    platform = Platform.of(settings, SecretStore(Path(lake.root).parent))
    check = next(c for c in declared_checks(platform) if (c.id, c.asset) == ("C23", ASSET))
    assert not check.blocking  # it blocks promotion
    outcome = run_check(check, CheckContext(LakeSession(lake), platform))
    assert Ledger(lake, platform.secrets).has_passed(check, None) is outcome.passed
    return outcome, list(ChainedLog(lake, EVIDENCE).entries())[-1].record


def put(lake: Lake, card: dict[str, Any]) -> None:
    with lake.write(ASSET) as out:
        out.put(CARD, untrained("churn_signal", **card).to_bytes())


def test_a_changed_floor_changes_the_verdict_on_the_same_stored_student_and_is_recorded(
    lake: Lake, settings: Settings, floors: FidelitySettings
) -> None:
    put(lake, student(floors, kl=0.1))
    content = lake.manifest(ASSET).content_hash
    verdicts = {}
    for floor in (0.2, 0.05, 0.15):
        outcome, evidence = recheck(lake, with_kl(settings, floor))
        verdicts[floor] = outcome.passed
        compared = next(row for row in evidence["table"] if row["measure"] == "kl")
        assert (compared["observed"], compared["floor"]) == (0.1, floor)
        assert evidence["observed"]["floors"] == {"kl": floor, **floors.binary}
        assert evidence["thresholds"]["students.fidelity"]["kl"] == floor
        # The route was chosen with a floor of 0.2: where the floor of now is another, the figures say so.
        expected = None if floor == 0.2 else {"kl": 0.2}
        assert evidence["observed"].get("route_chosen_with_floors") == expected
    assert verdicts == {0.2: True, 0.05: False, 0.15: True}
    assert lake.manifest(ASSET).content_hash == content


def test_a_copy_that_would_pass_the_floors_of_now_but_was_replaced_says_so(
    lake: Lake, settings: Settings, floors: FidelitySettings
) -> None:
    missed = student(floors, kl=0.9)["fidelity"]
    put(lake, student(floors, route="DIRECT", fidelity=missed))
    outcome, evidence = recheck(lake, with_kl(settings, 1.0))
    assert outcome.passed
    assert evidence["observed"]["route"] == "DIRECT"
    assert evidence["observed"]["route_chosen_with_floors"] == {"kl": 0.2}
    assert "route_chosen_with_floors" not in recheck(lake, settings)[1]["observed"]


def test_a_distilled_student_over_its_floor_fails_the_gate_on_the_stored_asset(
    lake: Lake, settings: Settings, floors: FidelitySettings
) -> None:
    put(lake, student(floors, kl=0.9))
    outcome, _ = recheck(lake, settings)
    assert not outcome.passed
    assert outcome.reason == "kl 0.9 (floor 0.2)"


def test_the_evidence_says_whether_the_noise_ceiling_belongs_to_the_teacher_of_now(
    lake: Lake, settings: Settings, floors: FidelitySettings
) -> None:
    put(lake, student(floors))

    def told(teacher: str | None) -> str:
        tasks = {"churn_signal": TaskNoise(noise=0.3, figures={"kl": 0.01})} if teacher is not None else {}
        ceiling = NoiseCeiling(teacher=teacher or "", seeds=(1, 2), rows=50, tasks=tasks)
        students = settings.students.model_copy(update={"noise_ceiling": ceiling})
        return str(recheck(lake, settings.model_copy(update={"students": students}))[1]["observed"]["noise_ceiling"])

    assert told(None).startswith("not measured")
    assert told("0" * 16).startswith("measured with other settings")
    assert told(settings.digest("teacher")) == "measured on 50 rows with 2 seeds"
