"""C10 and C16, the inputs that prove them: columns that reach into labels, undeclared reads, broken chains of hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import MATRIX, PROTECTED, SNAPSHOTS, group_asset, label_asset, state_asset
from finai_assets.features.inputs import AMOUNT, COUNTRY, HELD, TRANSACTIONS, TS
from finai_assets.features.registry import Column, build_registry
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE, Canary, LakeCanary
from finai_checks.framework.small_lake import SmallLake
from finai_checks.lineage import matrix_canaries
from finai_checks.lineage.checks import AS_DECLARED, COMPLETE, FREE_OF_LABELS
from finai_checks.lineage.label_reach import Spans, lineage_free_of_labels
from finai_checks.lineage.provenance import Provenance, lineage_complete
from finai_resources.manifest import Manifest

Stored = tuple[str, dict[str, str]]  # the hash of a content, and the hashes of what it was made from, by address


def plain_canaries(settings: Settings) -> list[Canary]:
    """Return columns that reach into a label or do not, and chains of hashes that hold or are broken."""
    return [*_reaches(settings), *_chains(), *matrix_canaries.plain_canaries()]


def _reaches(settings: Settings) -> list[Canary]:
    columns, tasks = build_registry(settings).columns, build_tasks(settings)
    holding = next(column for column in columns if column.inputs == (HELD,) and column.window_days is None)
    recent = next(column for column in columns if column.name == "roll_sum_30d")
    within = Spans(look_back=365, horizon=28)

    def canary(label: str, expects: str | None, *given: Column) -> Canary:
        return Canary(FREE_OF_LABELS, label, expects, lambda: lineage_free_of_labels(given, tasks, within))

    def reading(*inputs: str) -> Column:
        return replace(recent, inputs=inputs)

    return [
        canary("the columns of the registry", None, *columns),
        canary(
            "a column of a label", "roll_sum_30d: labels/churn_signal is a label", holding, reading(label_asset("churn_signal"))
        ),
        canary("a window after the cutoff", "reads inside the label window of next_mcc",
               replace(recent, inputs=(TS,), window_days=-7)),
        canary("holdings of the day after the cutoff", "inside the label window of churn_signal",
               replace(holding, window_days=-1)),
        canary("a window of no day", "a window of 0 days", replace(recent, window_days=0)),
        canary("a window beyond the look-back", "a window of 366 days", replace(recent, window_days=366)),
        canary("a table that does not exist", "raw/marketing.clicks is no raw column", reading("raw/marketing.clicks")),
        canary("a column that does not exist", "raw/snapshots.salary is no raw column", reading(f"{SNAPSHOTS}.salary")),
        canary("the table of protected attributes", "is no raw column", reading(f"{PROTECTED}.gender")),
        canary("transactions without a window", "read without a window", replace(recent, window_days=None)),
        canary("a column without inputs", "declares no input", reading()),
        canary("no column", NO_EVIDENCE),
    ]  # fmt: skip


def _chains() -> list[Canary]:
    upstream = {"features/a@2015-01": "a1", "features/a@2015-02": "a2"}
    whole: dict[str, Stored] = {
        "matrix": ("m", upstream),
        "features/a@2015-01": ("a1", {"raw/t@2015-01": "t1"}),
        "features/a@2015-02": ("a2", {"raw/t@2015-01": "t1", "raw/t@2015-02": "t2"}),
        "raw/t@2015-01": ("t1", {}),
        "raw/t@2015-02": ("t2", {}),
    }

    def canary(
        label: str,
        expects: str | None,
        stored: Mapping[str, Stored],
        inputs: Mapping[str, str | None],
    ) -> Canary:
        manifests = {
            address: Manifest(address, None, (), 1, "", content, "", "", made)
            for address, (content, made) in stored.items()
        }
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


def lake_canaries() -> list[LakeCanary]:
    """Return groups and a matrix as they were made, and ones that read or were made from something else."""
    lag, rolling, behavior = (state_asset(name) for name in ("txn_lag_tensor", "txn_rolling_stats", "txn_behavior"))
    return [
        LakeCanary(FREE_OF_LABELS, behavior, "a group as it is declared, and its state as it was fitted"),
        LakeCanary(FREE_OF_LABELS, behavior, "a column of a label", "labels/churn_signal is a label", _reads_label),
        LakeCanary(FREE_OF_LABELS, behavior, "a state that saw the test month", "after the last train month", _saw_test),
        LakeCanary(AS_DECLARED, lag, "a group that reads what it declares"),
        LakeCanary(AS_DECLARED, lag, "amounts that are read undeclared", f"{AMOUNT} is read by lag_amount_000", _hides_amounts),
        LakeCanary(AS_DECLARED, rolling, "a declared input that is never read", f"{COUNTRY} is declared by", _claims_country),
        LakeCanary(COMPLETE, MATRIX, "a matrix as it was built"),
        LakeCanary(COMPLETE, MATRIX, "features of a month are gone", "features/txn_behavior@2015-02, from which", _gone),
        LakeCanary(COMPLETE, MATRIX, "transactions changed after the features were computed",
                   "raw/transactions@2015-02 has changed since", _changed),
        LakeCanary(COMPLETE, MATRIX, "a state fitted again after the features", "feature_state/demographics has changed",
                   _refitted),
        LakeCanary(COMPLETE, MATRIX, "a column that the registry does not know", "declares age", _without_demographics),
        LakeCanary(COMPLETE, MATRIX, "features without provenance", "does not record that it was made from",
                   _without_provenance),
        *matrix_canaries.lake_canaries(),
    ]  # fmt: skip


def _reads_label(small: SmallLake) -> None:
    small.redeclare(
        "txn_behavior", lambda column: replace(column, inputs=(*column.inputs, label_asset("churn_signal")))
    )


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
    small.lake.delete(group_asset("txn_behavior"), small.month.key)


def _changed(small: SmallLake) -> None:
    table = small.lake.read(TRANSACTIONS, small.month.key)
    index = table.schema.get_field_index("amount")
    doubled = pa.array(2 * table["amount"].to_numpy())
    small.rewrite(TRANSACTIONS, small.month.key, table.set_column(index, table.schema.field(index), doubled))


def _refitted(small: SmallLake) -> None:
    fewer = small.settings.model_copy(update={"fit": small.settings.fit.model_copy(update={"rows": 100})})
    small.refit(fewer, groups=("demographics",))


def _without_demographics(small: SmallLake) -> None:
    registry = small.platform.registry
    others = tuple(group for group in registry if group.name != "demographics")
    small.platform = replace(small.platform, registry=replace(registry, groups=others))


def _without_provenance(small: SmallLake) -> None:
    group = small.group("demographics")
    table = small.lake.read(group.asset, small.month.key)
    ids = table["customer_id"].to_numpy()
    values = np.column_stack([table[name].to_numpy() for name in group.names])
    small.put_features(group, small.month, ids, values)
