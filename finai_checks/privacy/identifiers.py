"""C01: no asset downstream of the source stores a direct identifier of a person.

False alarms, measured by ``python -m benchmarks.identifiers``: none in 30,000 bundles like a real one, whose digests, ids and
numbers were drawn anew (at most .01 % of them with 95 % confidence). All of 15,000 identifiers planted into such are found.
What it cannot distinguish, and what it reports then, is in docs/evidence.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from finai_assets.asset_graph import BUNDLE, MATRIX, PROTECTED, RECOMMENDATIONS, SNAPSHOTS, TRANSACTIONS, group_asset
from finai_assets.platform import Platform
from finai_assets.settings import Settings
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
    declare_together,
)
from finai_checks.privacy.identifier_scan import Finding, denied_names, is_text, scan_json, scan_texts
from finai_checks.privacy.known_digests import without_known_digests
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, address

if TYPE_CHECKING:
    from finai_checks.framework.small_lake import SmallLake

NO_IDENTIFIERS = CheckKind(
    "C01",
    "no_direct_identifiers",
    "no column has the name of a direct identifier, and no stored text contains a national id, a phone number, a card number or "
    "an e-mail address",
    blocking=True,
    minimum=1,
    units="columns and files",
    thresholds=("checks.denied_names",),
)
RAW = (SNAPSHOTS, TRANSACTIONS, PROTECTED)
ONCE = (MATRIX, BUNDLE)


def scan_partition(
    session: LakeSession, asset: str, partition: str | None, patterns: Sequence[str]
) -> tuple[int, list[Finding]]:
    """Scan every table and JSON file of a partition; return the number of columns and files, and the findings."""
    manifest = session.manifest(asset, partition)
    looked, findings = 0, []
    schema = _schema(session, manifest)
    if schema is not None:
        looked += len(schema)
        findings += [
            Finding(f"{address(asset, partition)}.{name}", "a denied name", 0)
            for name in denied_names(schema.names, patterns)
        ]
        texts = [field.name for field in schema if is_text(field.type)]
        if texts:
            table = session.read(asset, partition, columns=texts)
            for name in texts:
                findings += scan_texts(f"{address(asset, partition)}.{name}", table[name])
    for stored in manifest.files:
        if stored.role.endswith(".json"):
            looked += 1
            content = json.loads(session.read_bytes(asset, partition, stored.role))
            unknown = without_known_digests(asset, stored.role, content)
            findings += scan_json(f"{address(asset, partition)}/{stored.role}", unknown)
    return looked, findings


def _schema(session: LakeSession, manifest: Manifest) -> pa.Schema | None:
    for file in session.lake.open_parquet(manifest):
        schema: pa.Schema = file.schema_arrow
        return schema
    return None


def verdict(looked: int, findings: Sequence[Finding]) -> CheckOutcome:
    """Return the outcome: a failure where there is any finding."""
    if not looked:
        return CheckOutcome.no_evidence()
    reason = "; ".join(f"{finding.place} holds {finding.what}" for finding in findings[:5])
    table = [finding.as_dict() for finding in findings]
    return CheckOutcome(not findings, reason, looked, {"findings": len(findings)}, table)


def _declare(platform: Platform) -> list[Declared]:
    settings = platform.settings
    raw, snapshots = tuple(settings.dataset.raw_months), tuple(settings.dataset.snapshot_months)
    groups = [group.asset for group in platform.registry.available]
    return [
        declare(NO_IDENTIFIERS, RAW[0], evaluate_raw, settings, months=raw),
        *declare_together(NO_IDENTIFIERS, groups, evaluate_groups, settings, months=snapshots),
        *(declare(NO_IDENTIFIERS, asset, evaluate_asset, settings) for asset in ONCE),
        declare(NO_IDENTIFIERS, RECOMMENDATIONS, evaluate_asset, settings, months=snapshots),
    ]


def evaluate_raw(context: CheckContext, _asset: str) -> CheckOutcome:
    """Scan all raw tables of a month; the check sits on the first of them."""
    return _scan(context, [asset for asset in RAW if asset in context.platform.graph])


def evaluate_groups(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Scan each feature group of a month."""
    return {asset: _scan(context, [asset]) for asset in assets}


def evaluate_asset(context: CheckContext, asset: str) -> CheckOutcome:
    """Scan one asset."""
    return _scan(context, [asset])


def _scan(context: CheckContext, assets: Sequence[str]) -> CheckOutcome:
    scanned = 0
    findings: list[Finding] = []
    for asset in assets:
        patterns = context.settings.checks.denied_names
        columns, of_asset = scan_partition(context.session, asset, context.partition, patterns)
        scanned, findings = scanned + columns, [*findings, *of_asset]
    return verdict(scanned, findings)


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return texts with and without identifiers, and texts that look like them."""
    patterns = settings.checks.denied_names

    def canary(label: str, expects: str | None, name: str, texts: list[str]) -> Canary:
        def evaluate() -> CheckOutcome:
            named = [Finding(name, "a denied name", 0) for name in denied_names([name], patterns)]
            return verdict(1, [*named, *scan_texts(name, pa.array(texts))])

        return Canary(NO_IDENTIFIERS, label, expects, evaluate)

    digest = (
        "a3" * 12 + "f9001011234567e" + "5c" * 12 + "b"
    )  # 64 hexadecimal digits, 13 of which look like a national id
    return [
        canary(
            "segments and reasons", None, "reason_ko", ["최근 12개월 거래 일수 44일을 바탕으로", "2015-01-31", "mass"]
        ),
        canary("amounts and times", None, "note", ["1,234,567.89 KRW", "2015-01-31 23:59:59.999999", "0.123456789012"]),
        canary(
            "long numbers without a check digit",
            None,
            "note",
            ["7807725872912407000", "20277050550257332", "p-9081726354"],
        ),
        canary("digests that hold a national id's digits", None, "note", [digest, f"sha256:{digest}, {digest[:40]}"]),
        canary(
            "ids of runs, commits and bundles",
            None,
            "note",
            [
                "4a01012e-1234-4567-8901-012345678901",
                "run f0101234-5678-4123-9123-01012345678f of 3c9001011234567a41b2c07d",
                "ab4111111111111111cd" * 2,
                "01012345678ffa12" * 2,
            ],
        ),
        canary(
            "base64 with digits",
            None,
            "note",
            ["qL9001011234567xTfYb3kRmW2sVhA8uJ5dPcZ0eNgI=", "sig=aQ-9kX_w3+821012345678Zp7Rb2LmT4yHc6VsD1nKfGjE"],
        ),
        canary(
            "decimals and lists of numbers",
            None,
            "note",
            [
                "0.4111111111111111",
                "-2.9001011234567e-05",
                "threshold=1.0000000180025095e-35 0.9001011234567",
                "tree_sizes=2604 4111 1111 1111 1111 2930 3016 3146 3024 2927",
            ],
        ),
        canary("a column called phone", "a denied name", "customer_phone", ["x"]),
        canary("a column called name", "a denied name", "Name", ["x"]),
        canary("a resident registration number", "national id", "note", ["id 900101-1234567 seen"]),
        canary("one within Korean words", "national id", "note", ["주민번호900101-1234567입니다"]),
        canary("one beside a digest", "national id", "note", [f"sha256:{digest} 900101-1234567"]),
        canary("one written as a float", "national id", "note", ["9001011234567.0"]),
        canary("a phone number", "phone number", "note", ["01012345678"]),
        canary("a phone number abroad", "phone number", "note", ["+82 10-1234-5678"]),
        canary("a card number", "card number", "note", ["4111 1111 1111 1111"]),
        canary("a card number with its expiry", "card number", "note", ["1 4111 1111 1111 1111 12/27"]),
        canary("an e-mail address", "e-mail address", "note", ["kim@example.co.kr"]),
        canary("a digest for a mailbox", "e-mail address", "note", [f"{digest[:32]}@example.co.kr"]),
        Canary(NO_IDENTIFIERS, "nothing looked at", NO_EVIDENCE, lambda: verdict(0, [])),
    ]


def lake_canaries() -> list[LakeCanary]:
    """Return assets of the small lake with and without identifiers."""
    raw, group, (matrix, bundle) = RAW[0], group_asset("demographics"), ONCE
    return [
        LakeCanary(NO_IDENTIFIERS, raw, "a month as it was loaded"),
        LakeCanary(NO_IDENTIFIERS, raw, "phone numbers as segments", "phone number", _phones),
        LakeCanary(NO_IDENTIFIERS, group, "a group as it was computed"),
        LakeCanary(NO_IDENTIFIERS, group, "a column email in a group", "demographics@2015-02.email", _email),
        LakeCanary(NO_IDENTIFIERS, matrix, "the matrix as it was built"),
        LakeCanary(NO_IDENTIFIERS, bundle, "a bundle whose digests hold digits of every kind", None, _bundle()),
        LakeCanary(
            NO_IDENTIFIERS, bundle, "a national id beside the digests", "manifest.json holds national id",
            _bundle(reason="cf. 900101-1234567"),
        ),
        LakeCanary(
            NO_IDENTIFIERS, bundle, "a national id in the place of a digest", "manifest.json holds national id",
            _bundle(config="9001011234567"),
        ),
    ]  # fmt: skip


def _bundle(*, reason: str = "", config: str = "4111111111111111") -> Callable[[SmallLake], None]:
    """Return a function that stores a bundle's manifest and signature, whose digests would be identifiers elsewhere."""
    sha256 = "9001011234567abc" * 4
    manifest = {
        "bundle_id": "01012345678fedcba4111111111111a2",
        "files": {"models/churn_signal.txt": {"bytes": 1, "sha256": sha256}},
        "tasks": [{"task": "churn_signal", "reason": reason}],
        "versions": {"code": "01012345678a", "config": config, "data": sha256[::-1]},
    }
    signature = {"algorithm": "HMAC-SHA256", "key_id": "4111111111111111", "mac": sha256}

    def store(small: SmallLake) -> None:
        with small.lake.write(ONCE[1]) as out:
            out.put("manifest.json", json.dumps(manifest).encode())
            out.put("signature.json", json.dumps(signature).encode())

    return store


def _phones(small: SmallLake) -> None:
    table = small.lake.read(RAW[0], small.month.key)
    at = table.schema.get_field_index("segment")
    numbers = pa.array([f"010-{k:04d}-{k:04d}" for k in range(table.num_rows)])
    small.rewrite(RAW[0], small.month.key, table.set_column(at, "segment", numbers))


def _email(small: SmallLake) -> None:
    asset = group_asset("demographics")
    table = small.lake.read(asset, small.month.key)
    small.rewrite(asset, small.month.key, table.append_column("email", pa.array(["x"] * table.num_rows)))


THEME = Theme((NO_IDENTIFIERS,), _declare, __name__)
