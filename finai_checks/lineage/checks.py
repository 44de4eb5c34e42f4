"""C10 and C16: what features are made from is what they declare, holds no label, and is stored as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import state_asset
from finai_assets.features.compute import raw_partitions
from finai_assets.features.inputs import AMOUNT, COUNTRY, SNAPSHOTS, TRANSACTIONS, look_back_days
from finai_assets.features.registry import Column, Group, build_registry
from finai_assets.labels.tasks import build_tasks
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.training.matrix import ASSET as MATRIX_ASSET
from finai_assets.training.matrix import DESCRIPTION
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, EvaluateTogether, declare, declare_together
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SmallLake
from finai_checks.framework.theme import Theme
from finai_checks.lineage.input_probe import probe_inputs
from finai_checks.lineage.label_reach import Spans, lineage_free_of_labels, made_before
from finai_checks.lineage.provenance import Provenance, lineage_complete
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest
from finai_resources.months import Month

FREE_OF_LABELS = Kind(
    "C10",
    "lineage_free_of_labels",
    "every column reads raw columns of the data contract before the cutoff, never a label or its window, and the state was made "
    "from nothing later than train",
    blocking=True,
    minimum=1,
    units="columns",
    thresholds=("horizon_months", "look_back_months"),
)
AS_DECLARED = Kind(
    "C10",
    "inputs_as_declared",
    "altering a raw column changes no feature that does not declare it, and some feature that does",
    blocking=True,
    minimum=1,
    units="values",
    thresholds=("checks.probe_customers", "metrics.confidence"),
    audit=True,
)
COMPLETE = Kind(
    "C16",
    "lineage_complete",
    "every model input leads, in every month, back to raw tables by recorded hashes that are those stored now",
    blocking=True,
    minimum=1,
    units="columns x months",
)


def _declare(platform: Platform) -> list[Declared]:
    settings, groups = platform.settings, platform.registry.available
    reach = [declare(FREE_OF_LABELS, state_asset(group.name), _reach(platform, group), settings) for group in groups]
    states = [state_asset(group.name) for group in groups]
    measured = declare_together(AS_DECLARED, states, _measured(platform), settings)
    return [*reach, *measured, declare(COMPLETE, MATRIX_ASSET, _complete(platform), settings)]


def spans(settings: Settings, month: Month) -> Spans:
    """Return the look-back, and the label window of a month, in days."""
    horizon = (month + settings.horizon_months).cutoff - month.cutoff
    return Spans(look_back_days(settings), horizon.days)


def _reach(platform: Platform, group: Group) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        last = platform.splits.train[-1]
        declared = lineage_free_of_labels(group.columns, platform.available_tasks, spans(platform.settings, last))
        upstream = session.manifest(state_asset(group.name)).upstream
        if not upstream:
            return CheckOutcome.no_evidence(**declared.observed)
        found = made_before(upstream, last.key)
        reason = "; ".join([*([declared.reason] if declared.reason else []), *found])
        observed = {**declared.observed, "partitions_of_the_state": len(upstream)}
        return replace(declared, passed=declared.passed and not found, reason=reason, observed=observed)

    return evaluate


def _measured(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, _month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        groups = {
            state_asset(group.name): group for group in platform.registry.available if state_asset(group.name) in assets
        }
        month, customers = platform.splits.train[-1], platform.settings.checks.probe_customers
        outcomes = probe_inputs(session, platform.settings, list(groups.values()), month, customers=customers)
        return {asset: outcomes[group.name] for asset, group in groups.items()}

    return evaluate


def _complete(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        stored = session.read_json(MATRIX_ASSET, None, DESCRIPTION)
        groups = {group.name: group for group in platform.registry.available}
        owner = {name: group.asset for group in groups.values() for name in group.names}
        inputs = {name: owner.get(name) for name in stored["columns"]}
        for tensor in stored.get("tensors", ()):
            group = groups.get(tensor["group"])
            known = group is not None and tensor["name"] in {entry.name for entry in group.tensors}
            inputs[f"{tensor['group']}.{tensor['name']}"] = group.asset if group and known else None
        months = sorted(month for of_split in stored["months"].values() for month in of_split)
        walk = Provenance(lambda address: _find(session, address), lambda address: _required(platform, address))
        return lineage_complete(walk, MATRIX_ASSET, inputs, months)

    return evaluate


def _find(session: LakeSession, address: str) -> Manifest | None:
    asset, _, month = address.partition("@")
    return session.lake.find(asset, month or None)


def _required(platform: Platform, address: str) -> set[str]:
    """Return what a feature partition, or a state, must have been made from."""
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


def _canaries(settings: Settings) -> list[Canary]:
    return [*_reach_canaries(settings), *_complete_canaries()]


def _reach_canaries(settings: Settings) -> list[Canary]:
    columns, tasks = build_registry(settings).columns, build_tasks(settings)
    held = next(column for column in columns if column.inputs == ("raw/snapshots.held",) and column.window_days is None)
    recent = next(column for column in columns if column.name == "roll_sum_30d")
    within = Spans(look_back=365, horizon=28)

    def canary(label: str, expects: str | None, *given: Column) -> Canary:
        return Canary(FREE_OF_LABELS, label, expects, lambda: lineage_free_of_labels(given, tasks, within))

    def reading(*inputs: str) -> Column:
        return replace(recent, inputs=inputs)

    return [
        canary("the columns of the registry", None, *columns),
        canary("a column of a label", "roll_sum_30d: labels/churn_signal is a label", held, reading("labels/churn_signal")),
        canary("a window after the cutoff", "reads inside the label window of next_mcc",
               replace(recent, inputs=("raw/transactions.ts",), window_days=-7)),
        canary("holdings of the day after the cutoff", "inside the label window of churn_signal",
               replace(held, window_days=-1)),
        canary("a window of no day", "a window of 0 days", replace(recent, window_days=0)),
        canary("a window beyond the look-back", "a window of 366 days", replace(recent, window_days=366)),
        canary("a table that does not exist", "raw/marketing.clicks is no raw column", reading("raw/marketing.clicks")),
        canary("a column that does not exist", "raw/snapshots.salary is no raw column", reading("raw/snapshots.salary")),
        canary("the table of protected attributes", "is no raw column", reading("raw/protected_attributes.gender")),
        canary("transactions without a window", "read without a window", replace(recent, window_days=None)),
        canary("a column made from nothing", "declares no input", reading()),
        canary("no column", NO_EVIDENCE),
    ]  # fmt: skip


def _complete_canaries() -> list[Canary]:
    upstream = {"features/a@2015-01": "a1", "features/a@2015-02": "a2"}
    whole: dict[
        str, tuple[str, dict[str, str]]
    ] = {  # by address: the hash of the content, and of what it was made from
        "matrix": ("m", upstream),
        "features/a@2015-01": ("a1", {"raw/t@2015-01": "t1"}),
        "features/a@2015-02": ("a2", {"raw/t@2015-01": "t1", "raw/t@2015-02": "t2"}),
        "raw/t@2015-01": ("t1", {}),
        "raw/t@2015-02": ("t2", {}),
    }

    def canary(
        label: str,
        expects: str | None,
        stored: Mapping[str, tuple[str, dict[str, str]]],
        inputs: Mapping[str, str | None],
    ) -> Canary:
        manifests = {at: Manifest(at, None, (), 1, "", content, "", "", made) for at, (content, made) in stored.items()}
        walk = Provenance(manifests.get, lambda _address: ())
        return Canary(
            COMPLETE, label, expects, lambda: lineage_complete(walk, "matrix", inputs, ["2015-01", "2015-02"])
        )

    age: dict[str, str | None] = {"age": "features/a"}
    without = {address: entry for address, entry in whole.items() if address != "raw/t@2015-01"}
    return [
        canary("a chain of equal hashes", None, whole, age),
        canary("a column of no group", "no feature group declares shadow", whole, {**age, "shadow": None}),
        canary("a raw month that is gone", "raw/t@2015-01, from which", without, age),
        canary("a raw month of another content", "raw/t@2015-02 has changed", {**whole, "raw/t@2015-02": ("t3", {})}, age),
        canary("a month that the matrix does not record", "does not record", {**whole, "matrix": ("m", {})}, age),
        canary("features made from nothing raw", "leads to no raw table",
               {**whole, "features/a@2015-02": ("a2", {})}, age),
        canary("no column", NO_EVIDENCE, whole, {}),
    ]  # fmt: skip


def _lake_canaries() -> list[LakeCanary]:
    lag, rolling, behavior = (state_asset(name) for name in ("txn_lag_tensor", "txn_rolling_stats", "txn_behavior"))
    return [
        LakeCanary(FREE_OF_LABELS, behavior, "a group as it is declared, and its state as it was fitted"),
        LakeCanary(FREE_OF_LABELS, behavior, "a column of a label", "labels/churn_signal is a label", _reads_label),
        LakeCanary(FREE_OF_LABELS, behavior, "a state that saw the test month", "after the last train month", _saw_test),
        LakeCanary(AS_DECLARED, lag, "a group that reads what it declares"),
        LakeCanary(AS_DECLARED, lag, "amounts that are read undeclared", f"{AMOUNT} is read by lag_amount_000", _hides_amounts),
        LakeCanary(AS_DECLARED, rolling, "a declared input that is never read", f"{COUNTRY} is declared by", _claims_country),
        LakeCanary(COMPLETE, MATRIX_ASSET, "a matrix as it was built"),
        LakeCanary(COMPLETE, MATRIX_ASSET, "features of a month are gone", "features/txn_behavior@2015-02, from which", _gone),
        LakeCanary(COMPLETE, MATRIX_ASSET, "transactions changed after the features were computed",
                   "raw/transactions@2015-02 has changed since", _changed),
        LakeCanary(COMPLETE, MATRIX_ASSET, "a state fitted anew after the features", "feature_state/demographics has changed",
                   _refitted),
        LakeCanary(COMPLETE, MATRIX_ASSET, "a column that the registry does not know", "declares age", _without_demographics),
        LakeCanary(COMPLETE, MATRIX_ASSET, "features without provenance", "does not record that it was made from", _untold),
    ]  # fmt: skip


def _reads_label(small: SmallLake) -> None:
    small.redeclare("txn_behavior", lambda column: replace(column, inputs=(*column.inputs, "labels/churn_signal")))


def _hides_amounts(small: SmallLake) -> None:
    def without(column: Column) -> Column:
        return replace(column, inputs=tuple(name for name in column.inputs if name != AMOUNT))

    small.redeclare("txn_lag_tensor", without)


def _claims_country(small: SmallLake) -> None:
    small.redeclare("txn_rolling_stats", lambda column: replace(column, inputs=(*column.inputs, COUNTRY)))


def _saw_test(small: SmallLake) -> None:
    """Fit with the test month among the rows."""
    splits = small.settings.dataset.splits
    wider = splits.model_copy(update={"train": splits.train.model_copy(update={"last": small.month_of("test")})})
    dataset = small.settings.dataset.model_copy(update={"splits": wider})
    small.refit(small.settings.model_copy(update={"dataset": dataset}), groups=("txn_behavior",))


def _gone(small: SmallLake) -> None:
    small.lake.delete("features/txn_behavior", small.month.key)


def _changed(small: SmallLake) -> None:
    table = small.lake.read(TRANSACTIONS, small.month.key)
    at = table.schema.get_field_index("amount")
    doubled = pa.array(2 * table["amount"].to_numpy())
    small.rewrite(TRANSACTIONS, small.month.key, table.set_column(at, table.schema.field(at), doubled))


def _refitted(small: SmallLake) -> None:
    fewer = small.settings.model_copy(update={"fit": small.settings.fit.model_copy(update={"rows": 100})})
    small.refit(fewer, groups=("demographics",))


def _without_demographics(small: SmallLake) -> None:
    registry = small.platform.registry
    left = tuple(group for group in registry if group.name != "demographics")
    small.platform = replace(small.platform, registry=replace(registry, groups=left))


def _untold(small: SmallLake) -> None:
    group = small.group("demographics")
    table = small.lake.read(group.asset, small.month.key)
    ids = table["customer_id"].to_numpy()
    values = np.column_stack([table[name].to_numpy() for name in group.names])
    small.put_features(group, small.month, ids, values)


THEME = Theme((FREE_OF_LABELS, AS_DECLARED, COMPLETE), _declare, _canaries, _lake_canaries)
