"""C26: the stored bundle is what the signed manifest, the registry and the tasks say, and serves within its budgets."""

from __future__ import annotations

from finai_assets.asset_graph import BUNDLE, student_asset
from finai_assets.platform import Platform
from finai_assets.training.matrix import load_matrix
from finai_checks.bundle.cold_start import measure_cold_start
from finai_checks.bundle.facts import Expected
from finai_checks.bundle.integrity import bundle_integrity
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare

SIGNING = "signing"  # the key's name in the secret store

BUNDLE_INTEGRITY = CheckKind(
    "C26",
    "bundle_integrity",
    "the bundle's signature and every file's hash and size are genuine, it holds no other file, its feature contract is the "
    "registry's, every available task is there with the models of its stored student, golden rows of the test months are "
    "reproduced on both layers, and its size and cold start keep their budgets",
    blocking=True,
    minimum=20,
    units="facts",
    thresholds=("checks.bundle", "students.max_leaves", "students.max_megabytes", "students.max_columns_in_all",
                "students.spare_share"),
)  # fmt: skip
KINDS = (BUNDLE_INTEGRITY,)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the check on the bundle."""
    return [declare(BUNDLE_INTEGRITY, BUNDLE, evaluate_bundle, platform.settings)]


def evaluate_bundle(context: CheckContext, asset: str) -> CheckOutcome:
    """Verify the stored bundle, replay it, and measure its cold start; without the signing key there is no evidence."""
    platform, files = context.platform, context.session.read_files(asset)
    key = platform.secrets.find(SIGNING) if platform.secrets else None
    if key is None:
        return CheckOutcome.no_evidence(signing_key="there is none")
    session = context.session
    students = {task.name: session.read_files(student_asset(task.name)) for task in platform.available_tasks}
    matrix = load_matrix(session)
    expected = Expected(
        key, platform.registry, platform.tasks, platform.settings, students, matrix.X[matrix.rows("test")]
    )
    measured = measure_cold_start(files, key, processes=platform.settings.checks.bundle.processes)
    return bundle_integrity(files, expected, measured)
