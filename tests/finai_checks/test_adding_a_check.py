"""What docs/adding-a-check.md says a new check takes: a room with a kind, a function, its place, its canaries, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks import proof as proofs
from finai_checks.catalogue import THEMES, declared_checks, kinds_of
from finai_checks.framework.check import (
    NO_EVIDENCE,
    Canary,
    CheckContext,
    CheckKind,
    CheckOutcome,
    Declared,
    LakeCanary,
    Theme,
    declare,
)
from finai_checks.framework.evidence_log import EVIDENCE
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.run import run_check
from finai_checks.framework.small_lake import SmallLake, small_settings
from finai_checks.gates import CheckGates
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import GateError
from finai_resources.secrets import SecretStore

# ---- checks.py of the room

ASSET = "raw/snapshots"
SEGMENTS_KNOWN = CheckKind(
    "C99",
    "segments_known",
    "every customer of the month has a segment",
    blocking=True,
    minimum=1,
    units="customers",
)


def declare_checks(platform: Platform) -> list[Declared]:
    months = tuple(platform.settings.dataset.raw_months)
    return [declare(SEGMENTS_KNOWN, ASSET, evaluate_segments, platform.settings, months=months)]


def evaluate_segments(context: CheckContext, asset: str) -> CheckOutcome:
    table = context.session.read(asset, context.required_month.key, columns=["segment"])
    return segments_known(table["segment"].to_pylist())


# ---- verdict of the room: a pure function of plain values


def segments_known(segments: list[str | None]) -> CheckOutcome:
    if not segments:
        return CheckOutcome.no_evidence()
    unknown = segments.count(None)
    reason = f"{unknown} of {len(segments)} customers have no segment" if unknown else ""
    return CheckOutcome(not unknown, reason, len(segments), {"unknown": unknown})


# ---- canaries.py of the room


def plain_canaries(_settings: Settings) -> list[Canary]:
    return [
        Canary(SEGMENTS_KNOWN, "two segments", None, lambda: segments_known(["mass", "private"])),
        Canary(SEGMENTS_KNOWN, "a missing segment", "1 of 2 customers", lambda: segments_known(["mass", None])),
        Canary(SEGMENTS_KNOWN, "no customer", NO_EVIDENCE, lambda: segments_known([])),
    ]


def lake_canaries() -> list[LakeCanary]:
    return [
        LakeCanary(SEGMENTS_KNOWN, ASSET, "a month as it was loaded"),
        LakeCanary(SEGMENTS_KNOWN, ASSET, "half of the segments gone", "have no segment", half_unknown),
    ]


def half_unknown(small: SmallLake) -> None:
    table = small.lake.read(ASSET, small.month.key)
    index = table.schema.get_field_index("segment")
    kept = [value if k % 2 else None for k, value in enumerate(table["segment"].to_pylist())]
    column = pa.array(kept, table.schema.field("segment").type)
    small.rewrite(ASSET, small.month.key, table.set_column(index, table.schema.field(index), column))


# ---- __init__.py of the room, and the line in catalogue.py

THEME = Theme((SEGMENTS_KNOWN,), declare_checks, __name__)
WITH_THE_ROOM = (*THEMES, THEME)


def test_a_new_room_takes_part_in_the_catalogue(settings: Settings) -> None:
    platform = Platform.of(settings)
    assert SEGMENTS_KNOWN in kinds_of(WITH_THE_ROOM)
    new = [check for check in declared_checks(platform, WITH_THE_ROOM) if check.kind == SEGMENTS_KNOWN]
    assert [check.asset for check in new] == [ASSET]
    assert len(declared_checks(platform, WITH_THE_ROOM)) == len(declared_checks(platform)) + 1


@pytest.mark.slow
def test_a_new_room_is_proved_run_recorded_and_asked_by_the_gates(tmp_path: Path) -> None:
    canaries = [*proofs.plain_canaries(small_settings(), [THEME]), *proofs.lake_canaries(tmp_path / "proof", [THEME])]
    (proof,) = proofs.run_canaries(canaries, kinds=kinds_of([THEME]))
    assert [result.as_dict() for result in proof.results if not result.right] == []
    assert (proof.proved, len(proof.good), len(proof.bad)) == (True, 2, 3)

    small = SmallLake.build(tmp_path / "lake")
    small.platform = replace(small.platform, secrets=SecretStore(tmp_path))
    (check,) = declare_checks(small.platform)
    partition = [(ASSET, small.month.key)]
    gates = CheckGates(small.platform, [THEME])
    with pytest.raises(GateError, match="C99 segments_known on raw/snapshots@2015-02: no result"):
        gates.demand(small.lake, partition)

    assert run_check(check, small.context(small.month)).passed
    gates.demand(small.lake, partition)
    entry = list(ChainedLog(small.lake, EVIDENCE).entries())[-1].record
    assert (entry["check"], entry["asserts"], entry["severity"]) == ("C99", SEGMENTS_KNOWN.asserts, "error")

    half_unknown(small)
    outcome = run_check(check, small.context(small.month))
    assert not outcome.passed
    record = Ledger(small.lake, small.platform.secrets).find(check, small.month.key)
    assert record is not None
    assert record["reason"] == outcome.reason
    with pytest.raises(GateError, match="have no segment"):
        gates.demand(small.lake, partition)
    assert np.isclose(outcome.observed["unknown"], outcome.n / 2, atol=1)
