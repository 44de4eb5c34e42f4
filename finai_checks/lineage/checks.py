"""C10 and C16: features are made from what they declare, read no label, and reach the models unchanged from raw tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from finai_assets.asset_graph import MATRIX, state_asset
from finai_assets.features.compute import raw_partitions
from finai_assets.features.inputs import SNAPSHOTS, look_back_days
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.training.matrix import DESCRIPTION, load_matrix
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare, declare_together
from finai_checks.lineage.input_probe import probe_inputs
from finai_checks.lineage.label_reach import Spans, lineage_free_of_labels, made_before
from finai_checks.lineage.matrix_values import compare_matrix, matrix_of_stored_values
from finai_checks.lineage.provenance import Provenance, lineage_complete
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest
from finai_resources.months import Month

FREE_OF_LABELS = CheckKind(
    "C10",
    "lineage_free_of_labels",
    "every column reads only raw columns of the data contract before the cutoff, no column reads a label or its window, and the "
    "group's state was fitted on nothing later than train",
    blocking=True,
    minimum=1,
    units="columns",
    thresholds=("horizon_months", "look_back_months"),
)
AS_DECLARED = CheckKind(
    "C10",
    "inputs_as_declared",
    "altering a raw column changes at least one feature that declares it as an input, and no feature that does not declare it",
    blocking=True,
    minimum=1,
    units="values",
    thresholds=("checks.probe_customers", "metrics.confidence"),
    audit=True,
)
COMPLETE = CheckKind(
    "C16",
    "lineage_complete",
    "every model input traces back to raw tables in every month, and each recorded hash on the way equals the hash stored now",
    blocking=True,
    minimum=1,
    units="columns x months",
)
STORED_VALUES = CheckKind(
    "C16",
    "matrix_of_stored_values",
    "sampled rows of every month of the training matrix hold, bit for bit, the features, tensors and labels that are stored of "
    "that customer and that month, and the rows of validation and test are all that those months have",
    blocking=True,
    minimum=1000,
    units="values",
    thresholds=("checks.matrix_rows",),
)
KINDS = (FREE_OF_LABELS, AS_DECLARED, COMPLETE, STORED_VALUES)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put C10 on the states of feature groups, and both of C16 on the training matrix."""
    settings = platform.settings
    states = [state_asset(group.name) for group in platform.registry.available]
    return [
        *(declare(FREE_OF_LABELS, state, evaluate_reach, settings) for state in states),
        *declare_together(AS_DECLARED, states, evaluate_inputs, settings),
        declare(COMPLETE, MATRIX, evaluate_provenance, settings),
        declare(STORED_VALUES, MATRIX, evaluate_values, settings),
    ]


def spans(settings: Settings, month: Month) -> Spans:
    """Return the look-back, and the label window of a month, in days."""
    horizon = (month + settings.horizon_months).cutoff - month.cutoff
    return Spans(look_back_days(settings), horizon.days)


def evaluate_reach(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the declared inputs of a group with the labels, and the upstream of its state with train."""
    platform = context.platform
    last = platform.splits.train[-1]
    columns = context.group(asset).columns
    tasks = platform.available_tasks or platform.tasks  # where no task is left, those that there are elsewhere
    declared = lineage_free_of_labels(columns, tasks, spans(platform.settings, last))
    upstream = context.session.manifest(asset).upstream
    if not upstream:
        return CheckOutcome.no_evidence(**declared.observed)
    faults = made_before(upstream, last.key)
    reason = "; ".join([*([declared.reason] if declared.reason else []), *faults])
    observed = {**declared.observed, "partitions_of_the_state": len(upstream)}
    return replace(declared, passed=declared.passed and not faults, reason=reason, observed=observed)


def evaluate_inputs(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Alter each raw column once, and compare the columns of all groups."""
    groups, settings = context.groups(assets), context.settings
    month, customers = context.platform.splits.train[-1], settings.checks.probe_customers
    outcomes = probe_inputs(context.session, settings, list(groups.values()), month, customers=customers)
    return {asset: outcomes[group.name] for asset, group in groups.items()}


def evaluate_provenance(context: CheckContext, asset: str) -> CheckOutcome:
    """Walk from the matrix to the raw tables, for each input and month that it holds."""
    platform, session = context.platform, context.session
    stored = session.read_json(asset, None, DESCRIPTION)
    groups = {group.name: group for group in platform.registry.available}
    owner = {name: group.asset for group in groups.values() for name in group.names}
    inputs = {name: owner.get(name) for name in stored["columns"]}
    for tensor in stored.get("tensors", ()):
        group = groups.get(tensor["group"])
        known = group is not None and tensor["name"] in {entry.name for entry in group.tensors}
        inputs[f"{tensor['group']}.{tensor['name']}"] = group.asset if group and known else None
    months = sorted(month for of_split in stored["months"].values() for month in of_split)
    walk = Provenance(lambda address: _find(session, address), lambda address: _required(platform, address))
    return lineage_complete(walk, asset, inputs, months)


def evaluate_values(context: CheckContext, _: str) -> CheckOutcome:
    """Read sampled rows of the matrix again from the partitions of their months."""
    platform, settings = context.platform, context.settings
    found = compare_matrix(
        context.session,
        load_matrix(context.session),
        platform.registry,
        platform.available_tasks,
        {split: [month.key for month in months] for split, months in platform.splits},
        rows=settings.checks.matrix_rows,
        seed=settings.seed,
    )
    return matrix_of_stored_values(found)


def _find(session: LakeSession, address: str) -> Manifest | None:
    asset, _, month = address.partition("@")
    return session.lake.find(asset, month or None)


def _required(platform: Platform, address: str) -> set[str]:
    """Return the addresses that a feature partition, or a state, must have been made from."""
    asset, _, month = address.partition("@")
    room, _, name = asset.partition("/")
    groups = {group.name: group for group in platform.registry}
    if room == "features" and name in groups:
        group = groups[name]
        state = {state_asset(name)} if group.fits else set()
        return raw_partitions(group, Month.parse(month), platform.settings) | state
    if room == "feature_state":
        return {f"{SNAPSHOTS}@{train.key}" for train in platform.splits.train}
    return set()
