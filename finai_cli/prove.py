"""``finai checks prove``: each check passes on its good inputs and fails on its bad ones."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from finai_assets.platform import Platform
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.small_lake import small_settings
from finai_checks.proof import Proof, lake_canaries, plain_canaries, run_canaries
from finai_cli.display import display
from finai_cli.output import styled
from finai_cli.run import lake_of
from finai_resources.home import Home


def prove(platform: Platform, home: Home, console: Console) -> list[Proof]:
    """Run all canaries, and append the proof of each kind of check to the evidence log of the home's lake."""
    with tempfile.TemporaryDirectory(prefix="finai-proof-") as folder, display(console) as show:
        with show("Make a small lake", 1, 0) as shown:
            canaries = [*plain_canaries(small_settings()), *lake_canaries(Path(folder))]
            shown.advance()
        with show("Canaries", len(canaries), 0) as shown:

            def ran(label: str) -> None:
                shown.note(label)
                shown.advance()

            proofs = run_canaries(canaries, each=ran)
    home.prepare()
    log = evidence_log(lake_of(platform, home), platform.secrets, appends=True)
    for proof in proofs:
        log.append(
            {
                "check": proof.kind.id,
                "name": proof.kind.name,
                "asset": "proof",
                "passed": proof.proved,
                "n": len(proof.results),
                "reason": "" if proof.proved else "not proved",
                "canaries": [result.as_dict() for result in proof.results],
            }
        )
    log.anchor()
    return proofs


def proof_table(proofs: list[Proof]) -> Table:
    """Return one row for each kind of check, and one for each canary with a wrong result."""
    now = datetime.now(UTC).isoformat(timespec="minutes")
    table = Table(title=f"Proof that the checks can fail ({now})", title_justify="left")
    for name in ("check", "good passes", "bad fails", "proved", "for example"):
        table.add_column(name, overflow="fold", justify="right" if name in {"good passes", "bad fails"} else "left")
    for proof in proofs:
        good, bad = (sum(result.right for result in part) for part in (proof.good, proof.bad))
        example = next((result for result in proof.bad[::-1] if result.right), None)
        table.add_row(
            f"{proof.kind.id} {proof.kind.name}",
            f"{good}/{len(proof.good)}",
            f"{bad}/{len(proof.bad)}",
            styled(("yes", "green") if proof.proved else ("no", "red")),
            f"{example.canary.label}: {example.outcome.reason}" if example else "",
        )
        for result in proof.results:
            if not result.right:
                row = result.as_dict()
                table.add_row(
                    "",
                    "",
                    "",
                    styled(("wrong", "red")),
                    f"{row['input']} must {row['must']}: {row['reason'] or 'passed'}",
                )
    return table
