"""A small lake, made by the steps of the main job; canaries spoil copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import CHOICE, COLUMNS, MATRIX, PREDICTIONS, SPLITS, TEACHER, TRANSFER, student_asset
from finai_assets.choice.model import FILE as CHOICE_FILE
from finai_assets.choice.model import to_file as choice_to_file
from finai_assets.choice.train import train_choice
from finai_assets.evaluation.lists.outcomes import Outcomes, read_outcomes
from finai_assets.features.compute import compute_month, group_schema
from finai_assets.features.fit import fit_states, load_states, store_states
from finai_assets.features.registry import Column, Group, Registry, build_registry
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.synthetic import generate
from finai_assets.labels.derive import compute_labels
from finai_assets.labels.splits import make_splits
from finai_assets.made_with import EXTRA as MADE_WITH
from finai_assets.made_with import made_with
from finai_assets.partitions import look_back
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.students.columns import FILE as COLUMNS_FILE
from finai_assets.students.columns import choose_columns, to_file, union_of
from finai_assets.students.columns import from_file as columns_from_file
from finai_assets.students.result import to_files as student_to_files
from finai_assets.students.train import train_student
from finai_assets.students.transfer import Answering, load_transfer_set, transfer_customers, write_transfer_set
from finai_assets.teacher.predictions import load_predictions, predictions_table
from finai_assets.teacher.store import teacher_from_files
from finai_assets.teacher.train import predict, teacher_to_files, train_teacher
from finai_assets.training.matrix import build_matrix, load_matrix
from finai_checks.framework.check import CheckContext
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month, month_range
from finai_resources.secrets import DEMO_PSEUDONYM_KEY

CUSTOMERS = 240
GROUPS = ("demographics", "product_holdings", "txn_behavior", "txn_lag_tensor", "txn_rolling_stats")
VERSION = "proof"
AGE_ASSESSMENT = {"id": "PROOF-1", "reason": "an assessment that canaries stand on", "expires": "2999-12-31"}
STUDENT = "top_mcc_shift"  # a task that can be learned from so few rows


@cache
def small_settings() -> Settings:
    """Return settings of a panel that is made in seconds: five groups, two train months, one month of each other split."""
    overrides: dict[str, dict[str, Any]] = {
        "generator": {"customers": CUSTOMERS},
        "fit": {"rows": 500},
        "statistics": {"psi_bins": 5},  # more bins need more customers to distinguish drift from chance
        "teacher": {"experts": ["deepfm", "temporal", "causal"], "epochs": 1, "batch_rows": 256, "threads": 1},
        "students": {"rounds": {"binary": 6}, "probe": {"rounds": 4}, "max_columns": {"copy": 12, "direct": 12}},
        "metrics": {"bootstrap_samples": 20},
        "checks": {
            "shuffled_future": {"train_months": 1},
            "proxy_strength": {"group_customers": 10, "assessments": {"age_band": AGE_ASSESSMENT}},
        },
        "dataset": {
            "splits": {
                "train": ["2015-01", "2015-02"],
                "validation": ["2015-04", "2015-04"],
                "test": ["2015-06", "2015-06"],
            },
        },
    }
    registry = build_registry(load_settings("synthetic", "smoke", overrides=overrides))
    left_out = {column.name: "not in the small lake" for column in registry.columns if column.group not in GROUPS}
    overrides["dataset"]["unavailable_columns"] = left_out
    return load_settings("synthetic", "smoke", overrides=overrides)


class SmallLake:
    """A lake from raw months to a trained teacher and one student, in a folder that the caller removes."""

    def __init__(self, lake: Lake, platform: Platform) -> None:
        self.lake, self.platform, self.settings = lake, platform, platform.settings
        self.month: Month = platform.splits.train[-1]

    @classmethod
    def build(cls, folder: Path) -> SmallLake:
        """Make the lake by the steps that the main job takes."""
        made = cls(Lake.on_disk(folder), Platform.of(small_settings()))
        session, settings, platform = LakeSession(made.lake), made.settings, made.platform
        generate(settings, DEMO_PSEUDONYM_KEY, session, tasks=platform.available_tasks, workers=1, code_version=VERSION)
        adapter = open_adapter(settings, DEMO_PSEUDONYM_KEY, session)
        load_catalogue(adapter, session, settings, code_version=VERSION)
        first, last = look_back(platform.splits.train[0], settings)[0], platform.splits.test[-1]
        for month in month_range(first, last + settings.horizon_months + 1):
            load_month(adapter, session, month, settings, code_version=VERSION)
        made.refit()
        with made.lake.write(SPLITS) as out:
            out.put("splits.json", make_splits(settings).to_json())
        for month in made.months:
            made.compute(month)
            compute_labels(session, month, platform.available_tasks, settings, versions=one_version(VERSION))
        for month in platform.splits.transfer:
            made.compute(month)
        made.rebuild_matrix()
        made.retrain()
        made.distil(STUDENT)
        made.choose()
        return made

    @property
    def months(self) -> tuple[Month, ...]:
        """Return the months that have features and labels."""
        splits = self.platform.splits
        return (*splits.train, *splits.validation, *splits.test)

    @property
    def session(self) -> LakeSession:
        """Return a new session, which has read nothing yet."""
        return LakeSession(self.lake)

    def context(self, month: Month | None = None) -> CheckContext:
        """Return what a check looks at in this lake."""
        return CheckContext(self.session, self.platform, month)

    def month_of(self, split: str) -> Month:
        """Return the last month of a split."""
        month: Month = getattr(self.platform.splits, split)[-1]
        return month

    def copy(self, folder: Path) -> SmallLake:
        """Return a copy that a canary may spoil."""
        shutil.copytree(self.lake.root, folder)
        return SmallLake(Lake.on_disk(folder), self.platform)

    def group(self, name: str) -> Group:
        """Return a group by name."""
        return self.platform.registry.group(name)

    def redeclare(self, group: str, change: Callable[[Column], Column]) -> None:
        """Change the columns that a group declares; its functions stay as they are."""
        groups = tuple(
            replace(g, declared=tuple(map(change, g.declared))) if g.name == group else g
            for g in self.platform.registry
        )
        self.platform = replace(self.platform, registry=Registry(groups))

    def refit(self, settings: Settings | None = None, groups: tuple[str, ...] = GROUPS) -> None:
        """Fit the states of some groups on the lake as it stands."""
        session = self.session
        states = fit_states(session, settings or self.settings, self.platform.registry, groups=groups)
        store_states(session, states, versions=one_version(VERSION))

    def compute(self, month: Month) -> None:
        """Compute the features of a month from the lake as it stands."""
        session, registry = self.session, self.platform.registry
        states = load_states(session, registry.available)
        compute_month(session, month, registry, states, self.settings, GROUPS, versions=one_version(VERSION))

    def rebuild_matrix(self) -> None:
        """Write the training matrix from the lake as it stands."""
        platform, session = self.platform, self.session
        with session.write(MATRIX, code_version=VERSION) as out:
            months: dict[str, Sequence[Month]] = dict(platform.splits)
            build_matrix(session, self.settings, platform.registry, platform.available_tasks, months, out)

    def retrain(self, settings: Settings | None = None) -> None:
        """Train the teacher on the training matrix as it stands, and let it predict."""
        platform, session, used = self.platform, self.session, settings or self.settings
        matrix = load_matrix(session)
        result = train_teacher(matrix, platform.registry, platform.available_tasks, used)
        made = {MADE_WITH: made_with(used.seed)}
        with session.write(TEACHER, code_version=VERSION, extra=made) as out:
            for name, content in teacher_to_files(result).items():
                out.put(name, content)
        session.manifest(TEACHER)
        values, gates = predict(result, matrix.X, used.teacher.batch_rows, matrix.side)
        with session.write(PREDICTIONS, code_version=VERSION) as out:
            out.write(predictions_table(values, gates, result.slot_names))

    def distil(self, name: str) -> None:
        """Train a task's student on the training matrix and the teacher's predictions, as both stand."""
        session, matrix, platform = self.session, load_matrix(self.session), self.platform
        values = load_predictions(session.read(PREDICTIONS), matrix.tasks)
        columns = choose_columns(
            matrix, values, self.settings, displayable=platform.displayable, rule_columns=platform.rule_columns
        )
        with session.write(COLUMNS, code_version=VERSION) as out:
            out.put(COLUMNS_FILE, to_file(columns))
        self.answer(union_of(columns))
        student = train_student(
            matrix.task(name),
            matrix,
            values[name],
            platform.registry,
            self.settings,
            columns=columns[name],
            transfer=load_transfer_set(session, matrix.tasks),
        )
        made = {MADE_WITH: made_with(self.settings.seed)}
        with session.write(student_asset(name), code_version=VERSION, extra=made) as out:
            for role, content in student_to_files(student).items():
                out.put(role, content)

    def choose(self) -> None:
        """Fit the choice model on the training matrix and the holdings, as both stand."""
        session, settings, matrix = self.session, self.settings, load_matrix(self.session)
        result = train_choice(
            matrix,
            self.outcomes(),
            settings,
            columns=union_of(columns_from_file(self.files(COLUMNS)[COLUMNS_FILE])),
            held=self.platform.held_columns,
        )
        made = {MADE_WITH: made_with(settings.seed)}
        with session.write(CHOICE, code_version=VERSION, extra=made) as out:
            out.put(CHOICE_FILE, choice_to_file(result.models, result.card))

    def outcomes(self) -> Outcomes:
        """Return what the customers of the training matrix hold and acquire."""
        settings, matrix = self.settings, load_matrix(self.session)
        return read_outcomes(
            self.session,
            matrix.month,
            matrix.customer,
            horizon_months=settings.horizon_months,
            products=len(settings.products),
        )

    def answer(self, columns: Sequence[str], months: Sequence[Month] = ()) -> None:
        """Write the transfer set of these columns, of the purged months before test if no others are named."""
        session, platform, settings = self.session, self.platform, self.settings
        teacher = teacher_from_files(self.files(TEACHER))
        customers = transfer_customers(session, settings, platform.registry, months or platform.splits.transfer)
        answering = Answering(session, settings, platform.registry, teacher, load_matrix(session).tensors)
        with session.write(TRANSFER, code_version=VERSION) as out:
            write_transfer_set(answering.answered(customers), platform.registry.names, columns, out)

    def shuffle_labels(self, name: str, split: str) -> None:
        """Shuffle the labels of a task over the rows of a split of the training matrix."""
        table, rows = self.lake.read(MATRIX), load_matrix(self.session).rows(split)
        index = table.schema.get_field_index(f"label:{name}")
        values = table[index].to_numpy().copy()
        values[rows] = np.random.default_rng(self.settings.seed).permutation(values[rows])
        self.put_table(MATRIX, table.set_column(index, table.schema.field(index), pa.array(values)))

    def files(self, asset: str) -> dict[str, bytes]:
        """Return every stored file of an unpartitioned asset, by role."""
        return {
            stored.role: self.lake.read_bytes(asset, None, stored.role) for stored in self.lake.manifest(asset).files
        }

    def put_files(self, asset: str, changed: Mapping[str, bytes]) -> None:
        """Replace some stored files of an unpartitioned asset, by role; its table, where it has one, stays."""
        self._replace(asset, changed, self.lake.read(asset) if self.lake.manifest(asset).rows > 0 else None)

    def put_table(self, asset: str, table: pa.Table) -> None:
        """Replace the table of an unpartitioned asset; its other files stay."""
        self._replace(asset, {}, table)

    def _replace(self, asset: str, changed: Mapping[str, bytes], table: pa.Table | None) -> None:
        kept, manifest = self.files(asset), self.lake.manifest(asset)
        with self.lake.write(asset, extra=manifest.extra, upstream=manifest.upstream) as out:
            if table is not None:
                out.write(table)
            for role, content in {**kept, **changed}.items():
                if role != "table":
                    out.put(role, content)

    def rewrite(self, asset: str, partition: str | None, table: pa.Table) -> None:
        """Replace the table of a partition."""
        with self.lake.write(asset, partition) as out:
            out.write(table)

    def put_features(self, group: Group, month: Month, customer_id: np.ndarray, values: np.ndarray) -> None:
        """Replace a group's features of a month: int64 [n], float32 [n, columns]."""
        columns = [pa.array(customer_id), *(pa.array(values[:, c]) for c in range(values.shape[1]))]
        self.rewrite(group.asset, month.key, pa.Table.from_arrays(columns, schema=group_schema(group)))
