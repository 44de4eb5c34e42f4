"""C26, the verdict: nothing in the bundle is believed that its signed manifest, the registry and the tasks do not confirm."""

from __future__ import annotations

from collections.abc import Mapping

from finai_checks.bundle import facts
from finai_checks.bundle.cold_start import ColdStart
from finai_checks.bundle.facts import Expected, Fact
from finai_checks.framework.check import CheckOutcome
from serving_lambda.bundle import open_bundle, verified_manifest
from serving_lambda.errors import ServingError

_NAMED = 5


def bundle_integrity(files: Mapping[str, bytes], expected: Expected, measured: ColdStart | None) -> CheckOutcome:
    """Return whether a bundle is whole, genuine, of the present features and tasks, and within its budgets.

    Parameters
    ----------
    files
        The bundle's files by name, as stored.
    expected
        What they are compared with.
    measured
        The cold start, from fresh processes; None where nobody measured it, which fails.

    Returns
    -------
    CheckOutcome
        ``n`` counts the facts that hold. A manifest that is not signed with the key is not looked into.
    """
    if not files:
        return CheckOutcome.no_evidence()
    try:
        manifest = verified_manifest(files.__getitem__, expected.key)
    except ServingError as error:
        return CheckOutcome(False, f"{error.code}: {error.message} ({error.field})", 0, {"files": len(files)})
    rules = expected.settings.checks.bundle
    try:
        sizes, of_budget = facts.of_budget(files, manifest, expected.settings)
        found = [
            *facts.of_signature(files, manifest, expected.key),
            *facts.of_files(files, manifest),
            *facts.of_contract(manifest, expected.registry),
            *facts.of_tasks(manifest, expected.tasks),
            *facts.of_students(files, manifest, expected.students),
            *of_budget,
            *facts.of_cold_start(measured, rules.cold_start_ms),
            *_of_serving(files, expected),
        ]
    except (KeyError, TypeError, AttributeError) as error:  # signed, but by a build that does not follow the schema
        return CheckOutcome(False, f"the manifest does not follow its schema ({type(error).__name__}: {error})", 0)
    faults = [fact.fault for fact in found if fact.fault]
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    observed = {
        "bundle_id": manifest["bundle_id"],
        **sizes,
        "cold_start_cpu_ms": round(measured.cpu_ms, 1) if measured else None,
        "cold_start_wall_ms": round(measured.wall_ms, 1) if measured else None,
        "served_by_override": [e["task"] for e in manifest["tasks"] if e["route"] == "DISTILL" and not e["model"]],
    }
    return CheckOutcome(
        not faults, "; ".join(faults[:_NAMED]) + more, len(found) - len(faults), observed, _table(found)
    )


def _of_serving(files: Mapping[str, bytes], expected: Expected) -> list[Fact]:
    """Load the bundle as serving does, and replay its golden rows on both layers."""
    try:
        bundle = open_bundle(files.__getitem__, expected.key)
    except ServingError as error:
        return [Fact("models", "bundle", f"serving refuses it: {error.code} ({error.field})")]
    return [*facts.of_models(bundle), *facts.of_golden_rows(bundle.golden(), expected.rows, expected.registry)]


def _table(found: list[Fact]) -> list[dict[str, object]]:
    """Return a row for each fact that does not hold, and for each group the number of those that do."""
    groups = dict.fromkeys(fact.group for fact in found)
    holding = {group: sum(fact.group == group and not fact.fault for fact in found) for group in groups}
    broken = [
        {"group": fact.group, "fact": fact.name, "holds": False, "fault": fact.fault} for fact in found if fact.fault
    ]
    return [
        *broken,
        *({"group": group, "fact": f"{n} facts", "holds": True, "fault": ""} for group, n in holding.items()),
    ]
