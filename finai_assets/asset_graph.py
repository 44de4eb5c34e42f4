"""Every asset of the platform, each declared once.

An :class:`Asset` declares where it is stored, the functions that compute it, the settings that they receive, and its upstream
assets. Dagster's specs, dependencies and jobs, the plan of ``finai run``, staleness, and what gates ask (the blocking checks of
all that lies upstream) derive from this table, and no other product file spells an asset's path.

A path may hold ``{group}`` (a feature group) or ``{task}`` (a prediction task): then there is one asset for each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from finai_assets.source import code_version
from finai_resources.errors import ConfigError
from finai_resources.lake_session import is_current

if TYPE_CHECKING:
    from finai_assets.settings import ConfigFolders, Settings
    from finai_resources.lake import Lake
    from finai_resources.months import Month

SOURCE = "source/panel"
SOURCE_SNAPSHOTS, SOURCE_TRANSACTIONS = "source/snapshots", "source/transactions"
SOURCE_PROTECTED, SOURCE_REPORT = "source/protected_attributes", "source/report"
SOURCE_RISK_PROFILES, SOURCE_CONSENTS = "source/risk_profiles", "source/consents"
SOURCE_CONTACTS, SOURCE_ASSET_BANDS = "source/contacts", "source/asset_bands"
PRODUCTS, PRODUCT_TERMS, CATEGORIES = "raw/products", "raw/product_terms", "raw/merchant_categories"
SNAPSHOTS, TRANSACTIONS, PROTECTED = "raw/snapshots", "raw/transactions", "raw/protected_attributes"
RISK_PROFILES, CONSENTS, CONTACTS, ASSET_BANDS = (
    "raw/risk_profiles", "raw/consents", "raw/contacts", "raw/asset_bands",
)  # fmt: skip
SPLITS = "labels/splits"
MATRIX, TEACHER, PREDICTIONS = "teacher/training_matrix", "teacher/ple", "teacher/predictions"
BASELINES, EVALUATION, EXPLANATIONS = "teacher/baselines", "teacher/evaluation", "teacher/explanations"
COLUMNS, TRANSFER, FIDELITY = "students/columns", "students/transfer_set", "students/fidelity"
CHOICE = "choice/model"
BUNDLE, PUBLISHED, CHAMPION = "serving/bundle", "serving/published", "serving/champion"
RECOMMENDATIONS = "recommendations/customers"
LISTS, LIST_RIVALS = "recommendations/evaluation", "recommendations/rivals"
DECISIONS, OUTCOMES = "recommendations/decisions", "recommendations/outcomes"
EXPERT_SHARES = "recommendations/expert_shares"
SCORED_BY, PERMITTED = "bundle_id", "unknown_consent_permitted"  # what recommendations are made from beside partitions
_STATE, _GROUP, _LABEL, _TRUTH, _STUDENT = (
    "feature_state/{group}", "features/{group}", "labels/{task}", "truth/{task}", "students/{task}",
)  # fmt: skip
PRODUCT_TRUTH = "truth/products"  # of no task: what each product's acquisition is as likely as
# What lawful offering needs to know of a customer. A data set may lack any of them; no feature, label or model reads one.
OFFER_TABLES = (RISK_PROFILES, CONSENTS, CONTACTS, ASSET_BANDS)
RAW_TABLES = (SNAPSHOTS, TRANSACTIONS, PROTECTED, *OFFER_TABLES)
CATALOGUE_TABLES = (PRODUCTS, PRODUCT_TERMS, CATEGORIES)
SOURCE_TABLES = (
    SOURCE_SNAPSHOTS, SOURCE_TRANSACTIONS, SOURCE_PROTECTED, SOURCE_RISK_PROFILES, SOURCE_CONSENTS, SOURCE_CONTACTS,
    SOURCE_ASSET_BANDS,
)  # fmt: skip


def state_asset(group: str) -> str:
    """Return the path of a group's fitted state."""
    return _STATE.format(group=group)


def group_asset(group: str) -> str:
    """Return the path of a feature group."""
    return _GROUP.format(group=group)


def label_asset(task: str) -> str:
    """Return the path of a task's label."""
    return _LABEL.format(task=task)


def truth_asset(task: str) -> str:
    """Return the path of a task's true law; the generator writes it beside the panel."""
    return _TRUTH.format(task=task)


def student_asset(task: str) -> str:
    """Return the path of a task's student."""
    return _STUDENT.format(task=task)


def is_raw(path: str) -> bool:
    """Return whether a path or an address names a raw table or the catalogue."""
    return path.startswith(_folder(SNAPSHOTS))


def table_name(path: str) -> str:
    """Return the name of a raw or source table, as ``dataset.unavailable_tables`` and errors give it."""
    return path.rpartition("/")[2]


def is_label(path: str) -> bool:
    """Return whether a path or an address names a label, or the splits beside the labels."""
    return path.startswith(_folder(_LABEL))


def is_truth(path: str) -> bool:
    """Return whether a path names a truth, a task's or that of the products."""
    return path.startswith(_folder(_TRUTH))


def is_student(path: str) -> bool:
    """Return whether a path names a task's student."""
    return path.startswith(_folder(_STUDENT)) and path not in {COLUMNS, TRANSFER, FIDELITY}


def _folder(path: str) -> str:
    return path.partition("/")[0] + "/"


class Partitions(Enum):
    """The months that an asset has."""

    NONE = "none"
    RAW = "raw months"
    SNAPSHOT = "snapshot months"
    MATURE = "snapshot months whose label window has passed within the raw months"


class Window(Enum):
    """The upstream months that one month of an asset is made from."""

    SAME = "the same month"  # of an asset without months: all of it
    LOOK_BACK = "the months of the look-back"
    FIT = "the train months with their look-back"
    SPLITS = "the train, validation and test months"
    TRANSFER = "the purged months before test"
    OUTCOMES = "the train, validation and test months, and those that their label windows end in"
    HOLDINGS = "the months whose holdings a label compares"
    SPENDING = "the months whose transactions a label compares"
    MESSAGES = "the months that the messages of the last days lie in"
    TEST = "the test months"
    LIST_MESSAGES = "the months that the messages of the last days before validation and test cutoffs lie in"


class Offsets(NamedTuple):
    """How far a window reaches: months before (negative) or after a month, both ends included.

    ``clipped``: months that do not exist are left out of it; else the window has to be whole.
    """

    first: int
    last: int
    clipped: bool = True


@dataclass(frozen=True)
class Read:
    """One upstream of an asset.

    Parameters
    ----------
    path : str
    window : Window
    columns : bool
        Whether each of a feature group's columns is shown as an upstream too.
    data : bool
        Whether its content is read; otherwise it is only asked, by its checks and by those of what lies upstream of it.
    """

    path: str
    window: Window = Window.SAME
    columns: bool = False
    data: bool = True


@dataclass(frozen=True)
class Asset:
    """One asset, or one for each feature group or task.

    Parameters
    ----------
    path : str
    group : str
        Dagster's group; jobs are selections of groups.
    op : str
        The function that Dagster calls, ``package.module:function``; it hands values from one function of ``code`` to the next,
        and is part of its code version without what it imports.
    code : tuple of str
        The functions that compute it, ``package.module:function``; the source that they reach gives its code version. A word in
        braces stands for the functions of its group, task or data set.
    settings : tuple of str
        The settings that its functions receive, by dotted path: they can read no others, and the hash is the config version.
        ``{own}`` stands for those that its group or task reads; names that begin
        with ``declared``, for what code declares: columns, tasks, their texts, or the member's own.
    reads : tuple of Read
    partitions : Partitions
    together : bool
        Whether assets of the same group are written by one computation, all or none.
    unversioned : tuple of str
        Those of the settings that take no part in the config version, as a check compares the stored result with them.
    files : tuple of str
        Files in ``configs/`` that it reads whole.
    templates : tuple of str
        Templates that its pages are rendered from, below the root of the source; part of its code version.
    only : str
        The adapter of the data sets that have it; empty for all.
    needs : tuple of str
        What a data set has to have for the asset to exist: :data:`TASKS` that it can carry, or :data:`OFFERS` too.
    gated : bool
        Whether the blocking checks of all that it is made from must have passed before it is computed; False for one that judges
        what they found.
    inputs : tuple of str
        What it is made from beside partitions, such as the bundle that scores: the manifest's ``extra`` keeps each under its
        name, and who asks what is stale compares it with that of today.
    """

    path: str
    group: str
    op: str
    code: tuple[str, ...]
    settings: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    partitions: Partitions = Partitions.NONE
    together: bool = False
    unversioned: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    only: str = ""
    needs: tuple[str, ...] = ()
    gated: bool = True
    inputs: tuple[str, ...] = ()


TASKS, OFFERS = "tasks", "offers"  # a task that the data set can carry; such tasks, and products to recommend by them

# Storage, memory, and the months and tables that exist: every asset's functions receive these settings. They take part in the
# config version only of assets that name them among their settings; no other value depends on them.
UNVERSIONED = ("lake", "dataset.raw_months", "dataset.snapshot_months", "dataset.unavailable_tables")
_SOURCE_SETTINGS = (  # what adapters and the data contract receive
    "dataset.name", "dataset.adapter", "dataset.source", "dataset.real_customers", "dataset.segments",
    "dataset.sentinels", "dataset.unknown_mcc", "dataset.unavailable_tables",
    "dataset.asset_bands", "merchant_categories", "tables",
)  # fmt: skip
# Definitions within the settings that compute something.
HANDED = (
    "finai_resources.months:Month",
    "finai_assets.settings.dataset:MonthSpan",
    "finai_assets.settings.method:InputSettings",
)
_ROWS = ("seed", "look_back_months", "dataset.splits.train", "dataset.raw_months.first")
_NETWORK = ("teacher", "inputs", "feature_groups.txn_lag_tensor.transactions")  # the last: the length of a sequence
_OF_COLUMNS = (  # the settings of the students that choose their columns
    "alpha", "learning_rate", "leaves", "column_share", "max_bin", "early_stopping_rounds", "probe",
    "cumulative_gain", "min_columns", "max_columns", "max_columns_in_all",
    "spare_share", "mandatory_columns", "min_child_rows", "threads",
)  # fmt: skip
_PAGE = tuple(f"finai_assets/evaluation/templates/{name}.html.j2" for name in ("base", "macros"))

ASSETS = (
    Asset(
        SOURCE,
        "source",
        "finai_assets.ingest.assets:panel",
        ("finai_assets.ingest.synthetic.panel:generate", "{truths}"),
        ("seed", "horizon_months", "dataset.name", "dataset.real_customers", "dataset.segments", "dataset.asset_bands",
         "dataset.raw_months", "dataset.snapshot_months", "families", "products.code", "products.product_class",
         "acquisition_sets",
         "merchant_categories",
         "generator", "declared.truths"),
        only="synthetic",
    ),
    *(
        Asset(
            path,
            "catalogue",
            "finai_assets.ingest.assets:catalogue",
            ("finai_assets.ingest.load:load_catalogue", "{adapter}"),
            (*_SOURCE_SETTINGS, "families", "products", "generator"),
            (Read(SOURCE),),
            together=True,
            unversioned=("dataset.source",),  # the rows that were read decide, wherever they lie
        )
        for path in CATALOGUE_TABLES
    ),
    *(
        Asset(
            path,
            "raw",
            "finai_assets.ingest.assets:raw_month",
            ("finai_assets.ingest.load:load_month", "{adapter}"),
            (*_SOURCE_SETTINGS, "products.code"),
            (Read(SOURCE),),
            Partitions.RAW,
            together=True,
            unversioned=("dataset.source",),
        )
        for path in RAW_TABLES
    ),
    Asset(
        _STATE,
        "feature_state",
        "finai_assets.features.assets:feature_state",
        ("finai_assets.features.fit:fit_states", "finai_assets.features.state:store_states", "{fit}", "{transform}"),
        (*_ROWS, "fit", "statistics", "{own}", "declared.own"),
        (Read(SNAPSHOTS, Window.FIT), Read(TRANSACTIONS, Window.FIT), Read(PRODUCTS), Read(CATEGORIES)),
    ),
    Asset(
        _GROUP,
        "features",
        "finai_assets.features.assets:features",
        ("finai_assets.features.compute:compute_month", "finai_assets.features.state:load_states", "{transform}"),
        ("look_back_months", "dataset.raw_months.first", "{own}", "declared.own"),
        (Read(SNAPSHOTS, Window.LOOK_BACK), Read(TRANSACTIONS, Window.LOOK_BACK), Read(PRODUCTS), Read(CATEGORIES),
         Read(_STATE)),
        Partitions.SNAPSHOT,
    ),
    Asset(
        _LABEL,
        "labels",
        "finai_assets.labels.assets:labels",
        ("finai_assets.labels.derive:compute_labels", "{formula}"),
        ("horizon_months", "dataset.raw_months.first", "{own}", "declared.own"),
        (Read(SNAPSHOTS, Window.HOLDINGS), Read(TRANSACTIONS, Window.SPENDING)),
        Partitions.MATURE,
    ),
    Asset(
        SPLITS,
        "splits",
        "finai_assets.labels.assets:split_months",
        ("finai_assets.labels.splits:make_splits", "finai_assets.labels.splits:gap_report"),
        ("gap_days", "horizon_months", "dataset.snapshot_months.first", "dataset.splits"),  # a later month alters no split
    ),
    Asset(
        MATRIX,
        "teacher",
        "finai_assets.training.assets:training_matrix",
        ("finai_assets.training.matrix:build_matrix", "{persistence}"),
        ("seed", "look_back_months", "dataset.segments", "dataset.raw_months.first", "teacher.max_train_rows", "teacher.routing",
         "teacher.experts", "declared.columns",
         "declared.tasks"),
        (Read(SPLITS), Read(_STATE), Read(_GROUP, Window.SPLITS, columns=True), Read(_LABEL, Window.SPLITS), Read(PRODUCTS),
         Read(CATEGORIES)),
        needs=(TASKS,),
    ),
    Asset(
        TEACHER,
        "teacher",
        "finai_assets.teacher.assets:ple",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.teacher.train:train_teacher",
         "finai_assets.teacher.store:teacher_to_files"),
        ("seed", *_NETWORK, "checks.reproducible.fingerprint_steps", "declared.columns"),
        (Read(MATRIX),),
        needs=(TASKS,),
    ),
    Asset(
        PREDICTIONS,
        "teacher",
        "finai_assets.teacher.assets:predictions",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.teacher.store:teacher_from_files",
         "finai_assets.teacher.result:predict", "finai_assets.teacher.predictions:predictions_table"),
        ("seed", *_NETWORK, "declared.columns"),
        (Read(MATRIX), Read(TEACHER)),
        needs=(TASKS,),
    ),
    Asset(
        BASELINES,
        "teacher",
        "finai_assets.evaluation.assets:baselines",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.evaluation.baselines:train_baselines",
         "finai_assets.evaluation.baselines:baselines_table"),
        ("seed", *_NETWORK, "baselines", "declared.columns"),
        (Read(MATRIX),),
        needs=(TASKS,),
    ),
    Asset(
        EVALUATION,
        "teacher",
        "finai_assets.evaluation.assets:evaluation",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.evaluation.truth:align_truth",
         "finai_assets.evaluation.baselines:load_baselines", "finai_assets.evaluation.baselines:beside_baselines",
         "finai_assets.evaluation.comparison:evaluate_all",
         "finai_assets.evaluation.curves:curves_of", "finai_assets.teacher.predictions:load_predictions",
         "finai_assets.evaluation.report.evaluation_page:evaluation_report"),
        ("profile", "seed", "horizon_months", "gap_days", "dataset.name", "baselines.raw_groups", "metrics"),
        (Read(MATRIX), Read(TEACHER), Read(PREDICTIONS), Read(BASELINES)),
        templates=(*_PAGE, "finai_assets/evaluation/templates/evaluation.html.j2"),
        needs=(TASKS,),
    ),
    Asset(
        EXPLANATIONS,
        "teacher",
        "finai_assets.evaluation.assets:explanations",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.teacher.store:teacher_from_files",
         "finai_assets.evaluation.explanation.explain:explain", "finai_assets.teacher.predictions:load_predictions",
         "finai_assets.evaluation.explanation.explanation_page:explanation_page"),
        ("profile", "seed", "dataset.name", *_NETWORK, "explanations", "metrics", "declared.columns"),
        (Read(MATRIX), Read(TEACHER), Read(PREDICTIONS)),
        templates=(*_PAGE, "finai_assets/evaluation/templates/explanations.html.j2"),
        needs=(TASKS,),
    ),
    Asset(
        COLUMNS,
        "students",
        "finai_assets.students.assets:student_columns",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.students.columns:choose_columns",
         "finai_assets.students.columns:to_file", "finai_assets.teacher.predictions:load_predictions"),
        ("seed", "inputs", *(f"students.{name}" for name in _OF_COLUMNS), "declared.columns", "declared.displayable",
         "declared.rule_columns"),
        (Read(MATRIX), Read(TEACHER), Read(PREDICTIONS)),
        needs=(TASKS,),
    ),
    Asset(
        TRANSFER,
        "students",
        "finai_assets.students.assets:transfer_set",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.students.columns:from_file",
         "finai_assets.students.columns:union_of",
         "finai_assets.students.transfer:transfer_customers", "finai_assets.students.transfer:Answering",
         "finai_assets.students.transfer:write_transfer_set",
         "finai_assets.teacher.store:teacher_from_files"),
        ("seed", *_NETWORK, "students.transfer_rows", "declared.columns"),
        (Read(MATRIX), Read(TEACHER), Read(COLUMNS), Read(_GROUP, Window.TRANSFER)),
        needs=(TASKS,),
    ),
    Asset(
        _STUDENT,
        "students",
        "finai_assets.students.assets:students",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.students.columns:from_file",
         "finai_assets.students.transfer:load_transfer_set",
         "finai_assets.students.train:train_student", "finai_assets.students.result:to_files",
         "finai_assets.teacher.predictions:load_predictions"),
        ("seed", "students", "inputs", "metrics", "declared.columns"),
        (Read(MATRIX), Read(TEACHER), Read(PREDICTIONS), Read(COLUMNS), Read(TRANSFER)),
        # C23 compares the stored figures with today's floors, and another check counts the copies.
        unversioned=("students.fidelity", "students.minimum_copies", "students.accepted"),
        needs=(TASKS,),
    ),
    Asset(
        FIDELITY,
        "students",
        "finai_assets.students.assets:students_fidelity",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.teacher.predictions:load_predictions",
         "finai_assets.students.result:from_files", "finai_assets.students.report.explanations:explained_rows",
         "finai_assets.students.report.summary:summarise", "finai_assets.students.report.page:fidelity_page",
         "finai_assets.students.report.page:markdown", "finai_assets.evaluation.explanation.inputs:input_of_columns",
         "finai_assets.teacher.layout:layout_of"),
        ("profile", "seed", "dataset.name", "students", "metrics", "teacher.experts", "teacher.routing", "inputs",
         "feature_groups.txn_lag_tensor.transactions", "declared.columns", "declared.rule_columns"),
        (Read(MATRIX), Read(PREDICTIONS), Read(EXPLANATIONS), Read(_STUDENT)),
        # The count of copies is compared with today's; a page made again would be another than the one that a bundle stands for.
        unversioned=("students.minimum_copies", "students.accepted"),
        templates=(*_PAGE, "finai_assets/evaluation/templates/fidelity.html.j2"),
        needs=(TASKS,),
    ),
    Asset(
        CHOICE,
        "choice",
        "finai_assets.choice.assets:choice_model",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.students.columns:from_file",
         "finai_assets.students.columns:union_of", "finai_assets.evaluation.lists.outcomes:read_outcomes",
         "finai_assets.choice.train:train_choice", "finai_assets.choice.model:to_file"),
        ("seed", "horizon_months", "inputs", "choice", "products.code", "declared.columns"),
        (Read(MATRIX), Read(COLUMNS), Read(SNAPSHOTS, Window.OUTCOMES)),
        needs=(OFFERS,),
    ),
    Asset(
        BUNDLE,
        "serving",
        "finai_assets.bundle.assets:bundle",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.students.result:require_budget",
         "finai_assets.bundle.shares:acquisition_shares", "finai_assets.bundle.build:build_bundle",
         "finai_assets.features.state:load_states"),
        ("profile", "seed", "horizon_months", "look_back_months", "merchant_categories", "dataset.name",
         "dataset.segments", "dataset.currency", "dataset.splits.train", "dataset.asset_bands",
         "families", "products", "acquisition_sets", "bundle", "recommend", "offering",
         "students.fidelity", "students.max_leaves", "students.max_megabytes", "students.max_columns_in_all",
         "students.spare_share", "declared.column_texts", "declared.task_texts"),
        (Read(_STUDENT), Read(CHOICE), Read(PRODUCTS), Read(PRODUCT_TERMS), Read(MATRIX),
         Read(state_asset("mcc_top30_multihot")), Read(state_asset("demographics")),
         Read(TEACHER, data=False), Read(EVALUATION, data=False),
         Read(FIDELITY, data=False)),  # what it finds of the students warns, and a promotion asks for it
        files=("reason_templates.yaml", "rules.yaml"),
        needs=(OFFERS,),
    ),
    Asset(
        PUBLISHED,
        "serving",
        "finai_assets.bundle.assets:published",
        ("finai_assets.bundle.lineage:lineage_of", "finai_assets.bundle.registry:register",
         "finai_assets.bundle.registry:export"),
        reads=(Read(BUNDLE),),
        needs=(OFFERS,),
    ),
    Asset(
        LIST_RIVALS,
        "serving",
        "finai_assets.recommend.assets:rivals",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.evaluation.lists.outcomes:read_outcomes",
         "finai_assets.evaluation.lists.rivals:score_rivals", "finai_assets.evaluation.lists.rivals:rivals_table"),
        ("seed", "horizon_months", "inputs", "lists.ease", "lists.als", "lists.lightgbm", "teacher.max_train_rows",
         "products.code", "declared.columns"),
        (Read(MATRIX), Read(SNAPSHOTS, Window.OUTCOMES)),
        needs=(OFFERS,),
    ),
    Asset(
        LISTS,
        "serving",
        "finai_assets.recommend.assets:lists_evaluation",
        ("finai_assets.training.matrix:load_matrix", "finai_assets.evaluation.lists.outcomes:read_outcomes",
         "finai_assets.evaluation.truth:read_product_truth", "finai_assets.recommend.profile:read_profile",
         "serving_lambda.bundle:load_bundle", "finai_assets.recommend.evaluate:evaluate_lists",
         "finai_assets.evaluation.lists.fitted:RivalRows", "finai_assets.evaluation.lists.rivals:load_rivals",
         "finai_assets.recommend.variants:read_variant_rows", "finai_assets.recommend.variants:evaluate_variants",
         "finai_assets.recommend.lists_page:markdown", "finai_assets.recommend.lists_page:lists_page"),
        ("profile", "seed", "horizon_months", "dataset.name", "inputs", "lists.variants", "metrics",
         "teacher.max_train_rows", "families", "products.code", "recommend.top_k", "dataset.unavailable_tables",
         "declared.columns"),
        (Read(MATRIX), Read(LIST_RIVALS), Read(PUBLISHED, data=False), Read(BUNDLE), Read(SNAPSHOTS, Window.OUTCOMES),
         *(Read(path, Window.TEST) for path in OFFER_TABLES if path != CONTACTS), Read(CONTACTS, Window.LIST_MESSAGES)),
        templates=(*_PAGE, "finai_assets/evaluation/templates/lists.html.j2"),
        needs=(OFFERS,),
    ),
    Asset(
        CHAMPION,
        "promotion",
        "finai_assets.promotion.assets:champion",
        ("finai_assets.promotion.decide:decide", "finai_assets.bundle.registry:register"),
        ("profile", "seed", "dataset.name", "metrics", "promotion"),
        (Read(PUBLISHED, data=False), Read(BUNDLE), Read(MATRIX), Read(LISTS, data=False)),
        gated=False,  # whatever failed is a refusal with its record
        needs=(OFFERS,),
    ),
    *(
        Asset(
            path,
            "recommendations",
            "finai_assets.recommend.assets:customers",
            ("serving_lambda.bundle:load_bundle", "finai_assets.recommend.score:score_month"),
            ("products.code", "recommend.top_k", "dataset.unavailable_tables", "declared.columns"),
            # Which bundle scores, the registry says: a new challenger alters nothing while there is a champion.
            (Read(PUBLISHED, data=False), Read(BUNDLE, data=False), Read(CHAMPION, data=False), Read(_GROUP), Read(SNAPSHOTS),
             *(Read(table) for table in OFFER_TABLES if table != CONTACTS),
             Read(CONTACTS, Window.MESSAGES)),
            Partitions.SNAPSHOT,
            together=True,
            inputs=(SCORED_BY, PERMITTED),
            needs=(OFFERS,),
        )
        for path in (RECOMMENDATIONS, DECISIONS)
    ),
    Asset(
        EXPERT_SHARES,
        "expert_shares",
        "finai_assets.recommend.assets:expert_shares",
        ("finai_assets.recommend.experts:expert_shares",),
        ("lists.expert_shares", "declared.columns"),
        (Read(RECOMMENDATIONS), Read(TEACHER), Read(EXPLANATIONS), Read(MATRIX), Read(_GROUP)),
        Partitions.SNAPSHOT,
        needs=(OFFERS,),
    ),
    Asset(  # nobody reads it: who was offered something may have acquired it because of that
        OUTCOMES,
        "outcomes",
        "finai_assets.recommend.assets:outcomes",
        ("finai_assets.recommend.judged:judge_month", "serving_lambda.bundle:load_bundle"),
        ("seed", "horizon_months", "families", "products.code", "recommend.top_k", "metrics"),
        (Read(RECOMMENDATIONS), Read(DECISIONS), Read(SNAPSHOTS, Window.HOLDINGS)),
        Partitions.MATURE,
        needs=(OFFERS,),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A job that a person starts, most of them also a stage of ``finai run``: the assets of some groups, one month a run.

    Parameters
    ----------
    stage
        Its name as a stage; empty for a job that ``finai run`` leaves to a person.
    months
        ``all`` that the assets have, or the ``last``; for ``finai run``.
    where
        The asset whose month must be stored, for ``finai run``; empty where all of ``months`` are meant.
    apart : bool
        Whether assets that one operation computes may as well be computed in several runs, side by side.
    """

    name: str
    stage: str
    title: str
    groups: tuple[str, ...]
    description: str
    months: str = "all"
    where: str = ""
    apart: bool = False


JOBS = (
    Job("source", "source", "Source and catalogue", ("source", "catalogue"),
        "Generate the source (synthetic data only), and load the catalogue."),
    Job("ingest_month", "ingest", "Raw tables", ("raw",), "Load and check the raw tables of one month."),
    Job("fit_features", "fit", "Feature states", ("feature_state", "splits"),
        "Fit the state of every feature group on the train months.", apart=True),
    Job("monthly_features", "features", "Features", ("features",), "Compute every feature group for one month."),
    Job("monthly_labels", "labels", "Labels", ("labels",),
        "Derive the labels of one month, once its window has passed."),
    Job("train", "train", "Teacher, students, bundle", ("teacher", "students", "choice", "serving"),
        "Train the teacher, the students and the choice model, and build the bundle."),
    Job("promote", "", "Promotion", ("promotion",),
        "Judge a challenger against the champion, and promote it if every criterion holds."),
    Job("score_month", "recommend", "Recommendations", ("recommendations",),
        "Recommend products to every customer of one month.", months="last"),
    Job("explain_month", "", "Shares of experts", ("expert_shares",),  # left to a person, since the teacher is slow
        "Tell how the teacher's gates divide its predictions among experts, for the customers of one month."),
    Job("judge_month", "judge", "Outcomes", ("outcomes",),
        "Compare what one month's customers were offered with what they acquired, once its window has passed.",
        where=DECISIONS),
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A feature group or a task, reduced to the facts that the graph needs.

    Parameters
    ----------
    code : dict
        The functions of its own that compute it, by the word that stands for them in :attr:`Asset.code`.
    declaration
        The part of its declaration that its asset's functions receive, JSON-able and without texts.
    settings : tuple of str
        The settings that its own functions read, by dotted path.
    not_read : frozenset of Window
        Windows that its asset does not read.
    """

    name: str
    code: Mapping[str, tuple[str, ...]]
    declaration: Any = None
    settings: tuple[str, ...] = ()
    not_read: frozenset[Window] = frozenset()


@dataclass(frozen=True)
class AssetGraph:
    """The assets of one data set in one profile.

    Parameters
    ----------
    settings : Settings
    groups, tasks : tuple of Member
        Those that the data set can carry, in order.
    code : dict
        The functions that a word in braces stands for in the code of every asset.
    declared : dict
        What code declares, JSON-able, by the names that :class:`Asset` may ask for.
    windows
        The months of each window, or how far before and after a month it reaches.
    config : ConfigFolders
        Where the configuration files are read from.
    """

    settings: Settings
    groups: tuple[Member, ...]
    tasks: tuple[Member, ...]
    code: Mapping[str, tuple[str, ...]] = field(repr=False)
    declared: Mapping[str, Any] = field(repr=False)
    windows: Mapping[Window, Offsets | tuple[Month, ...]] = field(repr=False)
    config: ConfigFolders

    @cached_property
    def _members(self) -> dict[str, tuple[Asset, Member | None]]:
        found: dict[str, tuple[Asset, Member | None]] = {}
        for asset in ASSETS:
            if self._exists(asset):
                found |= {path: (asset, member) for path, member in self._each(asset.path)}
        return found

    def _exists(self, asset: Asset) -> bool:
        """Return whether the data set has what an asset is made from."""
        dataset, absent = self.settings.dataset, self.settings.dataset.unavailable_tables
        if is_raw(asset.path) and table_name(asset.path) in absent:
            return False
        there = {TASKS: bool(self.tasks), OFFERS: bool(self.tasks) and table_name(PRODUCTS) not in absent}
        return asset.only in {"", dataset.adapter} and all(there[need] for need in asset.needs)

    def _each(self, template: str) -> Iterator[tuple[str, Member | None]]:
        if "{group}" in template:
            yield from ((template.format(group=member.name), member) for member in self.groups)
        elif "{task}" in template:
            yield from ((template.format(task=member.name), member) for member in self.tasks)
        else:
            yield template, None

    def __contains__(self, path: object) -> bool:
        return path in self._members

    def __getitem__(self, path: str) -> Asset:
        """Return the declaration behind a path.

        Raises
        ------
        ConfigError
            The data set has no such asset.
        """
        return self._member(path)[0]

    def _member(self, path: str) -> tuple[Asset, Member | None]:
        if path not in self._members:
            raise ConfigError(
                f"the data set {self.settings.dataset.name} has no asset {path}",
                where="asset graph",
                fix="`finai run` tells which tables and tasks it is without, and where it ends",
            )
        return self._members[path]

    @cached_property
    def catalogues(self) -> tuple[str, ...]:
        """Return the paths of the catalogues that the data set has, in order: one of orders has no products."""
        return tuple(path for path in CATALOGUE_TABLES if path in self)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Return every asset's path, upstream before downstream."""
        return tuple(self._members)

    def in_groups(self, groups: Iterable[str]) -> tuple[str, ...]:
        """Return the paths of the assets of some of Dagster's groups, in order."""
        wanted = set(groups)
        return tuple(path for path, (asset, _) in self._members.items() if asset.group in wanted)

    def job(self, name: str) -> Job:
        """Return a job by name."""
        return next(job for job in JOBS if job.name == name)

    def reads(self, path: str) -> Iterator[tuple[str, Read]]:
        """Yield the path of each upstream of an asset, and the declaration of the read."""
        asset, member = self._member(path)
        for read in asset.reads:
            if member is not None and read.window in member.not_read:
                continue
            if member is not None and "{" in read.path and "{" in asset.path:
                yield read.path.format(group=member.name, task=member.name), read
            else:
                yield from ((each, read) for each, _ in self._each(read.path) if each in self._members)

    def months_read(self, window: Window, month: Month | None) -> tuple[Month | None, ...]:
        """Return the upstream months that a month of an asset is made from."""
        if window is Window.SAME:
            return (month,)
        reach = self.windows[window]
        if isinstance(reach, Offsets):
            assert month is not None  # noqa: S101 - only assets with months read by offsets
            return tuple(month + offset for offset in range(reach.first, reach.last + 1))
        return reach

    def asked(
        self, *paths: str, month: Month | None = None, beside: tuple[str, ...] = ()
    ) -> tuple[tuple[str, str | None], ...]:
        """Return the partitions whose blocking checks must have passed before some assets are computed in a month.

        They are all that the assets are made from, directly or through others; of an asset that is not gated, nothing, and what
        it judged stops nobody else.

        Parameters
        ----------
        beside
            Assets that take no part this time, nor what they alone are made from.
        """
        if (paths, month, beside) not in self._asked:
            found: dict[tuple[str, str | None], None] = {}
            waiting = [(path, month) for path in paths if self[path].gated]
            while waiting:
                path, at = waiting.pop()
                for upstream, each in self._made_from(path, at):
                    key = (upstream, each.key if each else None)
                    if key not in found and upstream not in beside and self[upstream].gated:
                        found[key] = None
                        waiting.append((upstream, each))
            self._asked[paths, month, beside] = tuple(found)
        return self._asked[paths, month, beside]

    @cached_property
    def _asked(
        self,
    ) -> dict[tuple[tuple[str, ...], Month | None, tuple[str, ...]], tuple[tuple[str, str | None], ...]]:
        return {}

    def _made_from(self, path: str, month: Month | None) -> Iterator[tuple[str, Month | None]]:
        for upstream, read in self.reads(path):
            whole = self[upstream].partitions is Partitions.NONE
            yield from ((upstream, None if whole else each) for each in self.months_read(read.window, month))

    def downstream(self, stale: Iterable[str], among: Iterable[str]) -> list[str]:
        """Return, in the order of ``among``, the stale assets and those that read them or are written with them."""
        candidates = list(among)
        affected = set(stale)
        for path in candidates:  # in order, so that one pass reaches everything
            written_with = {
                other for other in candidates if self[path].together and self[other].group == self[path].group
            }
            if affected & (written_with | {upstream for upstream, read in self.reads(path) if read.data}):
                affected.add(path)
        return [path for path in candidates if path in affected]

    def settings_of(self, *paths: str) -> Settings:
        """Return the settings that the functions of some assets receive: the declared ones and no others."""
        return self.settings.only(*(name for path in paths for name in self._sections(path)), *UNVERSIONED)

    def _sections(self, path: str) -> list[str]:
        asset, member = self._member(path)
        own = {"{own}": member.settings if member is not None else ()}
        names = [name for setting in asset.settings for name in own.get(setting, (setting,))]
        return [name for name in dict.fromkeys(names) if not name.startswith("declared.")]

    def starts(self, path: str) -> tuple[str, ...]:
        """Return the functions that compute an asset."""
        asset, member = self._member(path)
        own = {**self.code, **(member.code if member is not None else {})}
        return tuple(name for start in asset.code for name in own.get(start, (start,)))

    def maker(self, path: str) -> str | None:
        """Return the asset whose functions write what is stored at a path: itself, or the source; None where none does."""
        if path in self:
            return path
        beside = path in (*SOURCE_TABLES, SOURCE_REPORT) or is_truth(path)
        return SOURCE if beside and SOURCE in self else None

    def code_version(self, path: str) -> str:
        """Return the hash of the source that an asset's functions reach, of its op, and of its templates."""
        return code_version(*HANDED, *self.starts(path), op=self[path].op, templates=self[path].templates)

    def config_version(self, path: str) -> str:
        """Return the hash of what an asset's functions receive: settings, declarations, configuration files, months to read."""
        asset, member = self._member(path)
        versioned = [name for name in self._sections(path) if name != "lake"]
        declared = {**self.declared, "declared.own": member.declaration if member else None}
        content: dict[str, Any] = {"settings": self.settings.only(*versioned).model_dump(mode="json")}
        for section, _, name in (setting.rpartition(".") for setting in asset.unversioned):
            del content["settings"][section][name]
        content |= {name: declared[name] for name in asset.settings if name in declared}
        if asset.files:
            content |= self.config.version(asset.files)
        # Named months are worked out outside the functions that they are handed to, and other months give another result.
        reaches = {read.window: self.windows[read.window] for read in asset.reads if read.window in self.windows}
        if named := {window.name: reach for window, reach in reaches.items() if not isinstance(reach, Offsets)}:
            content["months"] = named
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def versions(self, path: str) -> dict[str, Any]:
        """Return the code and the config version that a partition is written with."""
        if path not in self._versions:
            self._versions[path] = {"code_version": self.code_version(path), "config_hash": self.config_version(path)}
        return self._versions[path]

    @cached_property
    def _versions(self) -> dict[str, dict[str, Any]]:
        return {}

    def is_current(
        self,
        lake: Lake,
        path: str,
        partition: str | None = None,
        inputs: Callable[[str, str | None], Mapping[str, str]] | None = None,
    ) -> bool:
        """Return whether this code and config made the stored partition from its current upstream.

        Parameters
        ----------
        inputs
            Gives today's :attr:`Asset.inputs` of a partition; asked only of one that has some and is current but for them.
        """
        if not is_current(lake, path, partition, **self.versions(path)):
            return False
        names = self[path].inputs
        if not names or inputs is None:
            return True
        stored, today = lake.manifest(path, partition).extra, inputs(path, partition)
        return all(stored.get(name) == today[name] for name in names)
