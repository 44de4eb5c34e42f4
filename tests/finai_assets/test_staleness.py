"""What becomes stale: one thing is changed at a time, and exactly the expected assets are no longer current.

Expected are the assets whose own code or config version changes. What reads one of these follows once its bytes differ, by the
content hashes in manifests, and does not where they come out equal.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from finai_assets import source
from finai_assets.asset_graph import (
    BASELINES,
    BUNDLE,
    CATALOGUE_TABLES,
    CHAMPION,
    CHOICE,
    COLUMNS,
    DECISIONS,
    EVALUATION,
    EXPERT_SHARES,
    EXPLANATIONS,
    FIDELITY,
    LIST_RIVALS,
    LISTS,
    MATRIX,
    OUTCOMES,
    PREDICTIONS,
    PUBLISHED,
    RAW_TABLES,
    RECOMMENDATIONS,
    SOURCE,
    SPLITS,
    TEACHER,
    TRANSFER,
    AssetGraph,
    group_asset,
    label_asset,
    state_asset,
    student_asset,
)
from finai_assets.features.registry import Registry
from finai_assets.platform import Platform
from finai_assets.settings import CONFIG_FOLDER, ConfigFolders, load_settings
from finai_assets.source import forget
from finai_checks.catalogue import declared_checks

Versions = dict[str, dict[str, Any]]


@dataclass
class Tree:
    """A copy of the source and of the configuration, of which a test may edit a line."""

    root: Path
    overrides: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # column -> another Korean text

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text(encoding="utf-8")
        assert old in text, f"{file} does not hold {old!r}: this row of the table needs another edit"
        (self.root / file).write_text(text.replace(old, new), encoding="utf-8")

    def graph(self) -> AssetGraph:
        platform = Platform.of(
            load_settings("synthetic", "smoke", folder=self.root / "configs", overrides=self.overrides)
        )
        if self.texts:
            platform = replace(platform, registry=self._retold(platform.registry))
        return replace(platform.graph, config=ConfigFolders(self.root / "configs"))

    def _retold(self, registry: Registry) -> Registry:
        groups = [
            replace(
                group,
                declared=tuple(
                    replace(column, description_ko=self.texts.get(column.name, column.description_ko))
                    for column in group.declared
                ),
            )
            for group in registry
        ]
        return Registry(tuple(groups))

    def versions(self) -> Versions:
        forget()
        graph = self.graph()
        return {path: graph.versions(path) for path in graph.paths}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pristine")
    ignore = shutil.ignore_patterns("__pycache__")
    for package in source.PACKAGES:
        shutil.copytree(source.ROOT / package, root / package, ignore=ignore)
    shutil.copytree(CONFIG_FOLDER, root / "configs")
    return root


@pytest.fixture
def tree(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    shutil.copytree(pristine, tmp_path / "tree")
    monkeypatch.setattr(source, "ROOT", tmp_path / "tree")
    yield Tree(tmp_path / "tree")
    monkeypatch.undo()
    forget()


@pytest.fixture(scope="module")
def before() -> Versions:
    forget()
    graph = Platform.of(load_settings("synthetic", "smoke")).graph
    return {path: graph.versions(path) for path in graph.paths}


@pytest.fixture(scope="module")
def graph() -> AssetGraph:
    return Platform.of(load_settings("synthetic", "smoke")).graph


def kernel(tree: Tree) -> None:
    tree.edit("finai_assets/features/groups/txn_lag_tensor.py", "np.log1p(value)", "np.log1p(2 * value)")


def kernel_of_scalars(tree: Tree) -> None:
    tree.edit("finai_assets/features/groups/txn_behavior.py", "def transform(", "SPOILED = 1\n\n\ndef transform(")
    tree.edit("finai_assets/features/groups/txn_behavior.py", "    return out\n", "    return out + SPOILED\n")


def korean_text(tree: Tree) -> None:
    tree.edit("finai_assets/features/groups/tda_local.py", "일별 지출 형태", "하루 지출의 모양")
    tree.texts = {"tda_local_h0_count": "하루 지출의 모양 H0 개수"}


def engine(tree: Tree) -> None:
    tree.overrides = {"feature_groups": {"tda_local": {"engine": "gudhi"}}}


def rank_kernels(tree: Tree) -> None:
    tree.edit("finai_assets/scoring/rank_kernels.py", "def auc(", "def auc(  # noqa\n        ")
    tree.edit("finai_assets/scoring/rank_kernels.py", "def auc(  # noqa\n        ", "def auc(_spoiled: Any = 0, *, ")


def cutoff(tree: Tree) -> None:
    tree.edit(
        "finai_resources/months.py", "return datetime(self.ordinal // 12", "return datetime(1 + self.ordinal // 12"
    )


def look_back(tree: Tree) -> None:
    tree.edit("finai_assets/partitions.py", "(settings.look_back_months - 1)", "(settings.look_back_months - 2)")


def sampling(tree: Tree) -> None:
    tree.edit("finai_assets/features/sampling.py", "def splitmix64(", "SALT = 1\n\n\ndef splitmix64(")
    text = (tree.root / "finai_assets/features/sampling.py").read_text(encoding="utf-8")
    head, _, tail = text.partition("def splitmix64(")
    tail = tail.replace("    return ", "    return SALT * ", 1)
    (tree.root / "finai_assets/features/sampling.py").write_text(head + "def splitmix64(" + tail, encoding="utf-8")


def family_name(tree: Tree) -> None:
    path = tree.root / "configs" / "datasets" / "synthetic.yaml"
    text = path.read_text(encoding="utf-8").replace("family: savings", "family: thrift")
    path.write_text(text.replace("[deposit, savings,", "[deposit, thrift,"), encoding="utf-8")


def churn(tree: Tree) -> None:
    tree.overrides = {"tasks": {"churn_signal": {"history_months": 5}}}


def formula(tree: Tree) -> None:
    tree.edit("finai_assets/labels/formulas/spending.py", "np.maximum(1, earlier)", "np.maximum(2, earlier)")


def dropout(tree: Tree) -> None:
    tree.overrides = {"teacher": {"dropout": 0.31}}


def word_in_the_evaluation(tree: Tree) -> None:
    tree.edit("finai_assets/evaluation/templates/evaluation.html.j2", "0.5 is chance", "0.5 is luck")


def word_in_the_explanations(tree: Tree) -> None:
    tree.edit("finai_assets/evaluation/templates/explanations.html.j2", "It moves it less", "It shifts it less")


def word_in_the_students(tree: Tree) -> None:
    tree.edit("finai_assets/evaluation/templates/fidelity.html.j2", "are needed for a promotion", "are asked for")


def style_of_pages(tree: Tree) -> None:
    tree.edit("finai_assets/evaluation/templates/base.html.j2", "max-width: 72rem", "max-width: 70rem")


def number_in_the_evaluation(tree: Tree) -> None:
    tree.edit("finai_assets/evaluation/report/results.py", "{error:.4f}", "{error:.3f}")


def number_in_the_explanations(tree: Tree) -> None:
    tree.edit("finai_assets/evaluation/explanation/cells.py", 'digits(found["gap"], 4)', 'digits(found["gap"], 3)')


def fidelity_floor(tree: Tree) -> None:
    tree.overrides = {"students": {"fidelity": {"kl": 0.123}}}


def probe_rounds(tree: Tree) -> None:
    tree.overrides = {"students": {"probe": {"rounds": 11}}}


def transfer_rows(tree: Tree) -> None:
    tree.overrides = {"students": {"transfer_rows": 100}}


def choice_penalties(tree: Tree) -> None:
    tree.overrides = {"choice": {"penalties": [0.5]}}


def rival_penalties(tree: Tree) -> None:
    tree.overrides = {"lists": {"ease": {"penalties": [3]}}}


def term_weight(tree: Tree) -> None:
    tree.overrides = {"recommend": {"task_weights": {"nba_primary": 0.5}}}


def student_rounds(tree: Tree) -> None:
    tree.overrides = {"students": {"rounds": {"binary": 11}}}


def minimum_copies(tree: Tree) -> None:
    tree.overrides = {"students": {"minimum_copies": 3}}


def check_threshold(tree: Tree) -> None:
    tree.overrides = {"checks": {"max_constant_columns": 3}}


def other_data_set(tree: Tree) -> None:
    path = tree.root / "configs" / "datasets" / "berka.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("CZK", "EUR"), encoding="utf-8")


def generator_of_docs(tree: Tree) -> None:
    tree.edit("studies/groups/feature_reference.py", "def ", "def spoiled(): ...\n\n\ndef ")
    tree.edit("finai_checks/document.py", "def render(", "def spoiled(): ...\n\n\ndef render(")


def reason_template(tree: Tree) -> None:
    path = tree.root / "configs" / "reason_templates.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "# another word\n", encoding="utf-8")


def ranking(tree: Tree) -> None:
    tree.edit("serving_lambda/ranking.py", "def ", "def spoiled(): ...\n\n\ndef ")
    text = (tree.root / "serving_lambda/ranking.py").read_text(encoding="utf-8")
    (tree.root / "serving_lambda/ranking.py").write_text(text.replace("sorted(", "list(", 1), encoding="utf-8")


def op_of_the_predictions(tree: Tree) -> None:
    tree.edit("finai_assets/teacher/assets.py", "predict(teacher, matrix.X, ", "predict(teacher, matrix.X[::-1], ")


def op_of_the_labels(tree: Tree) -> None:
    tree.edit("finai_assets/labels/assets.py", "compute_labels(session, month, ", "compute_labels(session, month - 1, ")


def what_an_op_names_in_its_module(tree: Tree) -> None:
    tree.edit("finai_assets/recommend/assets.py", "    replace: bool = Field(", "    replace: bool | None = Field(")


def description_of_an_asset(tree: Tree) -> None:
    tree.edit("finai_assets/teacher/assets.py", "The teacher's predictions for", "Predictions by the teacher for")


def comment(tree: Tree) -> None:
    tree.edit("finai_assets/teacher/train.py", "def train_teacher(", "# a remark\ndef train_teacher(")


GROUPS = [group.name for group in Platform.of(load_settings("synthetic", "smoke")).registry.available]
TASKS = [task.name for task in Platform.of(load_settings("synthetic", "smoke")).available_tasks]
STATES, FEATURES = {state_asset(g) for g in GROUPS}, {group_asset(g) for g in GROUPS}
LABELS, STUDENTS = {label_asset(t) for t in TASKS}, {student_asset(t) for t in TASKS}
RAW, CATALOGUE = set(RAW_TABLES), set(CATALOGUE_TABLES)
MODELS = {TEACHER, PREDICTIONS, BASELINES, EVALUATION, EXPLANATIONS, COLUMNS, TRANSFER, FIDELITY} | STUDENTS


def of(*groups: str) -> set[str]:
    return {path for group in groups for path in (state_asset(group), group_asset(group))}


TABLE: list[tuple[str, Callable[[Tree], None], set[str]]] = [
    # The group's state holds the train quantiles of its values, so that it follows the kernel; no other group does.
    ("one group's kernel", kernel, of("txn_lag_tensor")),
    # Two groups compute this one's columns again as their scalars.
    (
        "the kernel of a group that others call",
        kernel_of_scalars,
        of("txn_behavior", "gmm_clustering", "model_derived"),
    ),
    # Texts reach the customer by the bundle's contract, and nothing else.
    ("a group's Korean text", korean_text, {BUNDLE}),
    ("a group's engine", engine, of("tda_local")),
    # Metrics decide routes, stop the deletion curves, and are what the evaluation publishes.
    ("rank_kernels.py", rank_kernels, {EVALUATION, EXPLANATIONS, COLUMNS, CHAMPION} | STUDENTS),
    # The look-back is what features reach, and persistence forecasts read the last transaction within it.
    ("partitions.py: the look-back", look_back, STATES | FEATURES | {MATRIX}),
    # Truth and catalogue name families by position, so that their bytes, labels and features stay; classes carry the name.
    ("a family's name", family_name, {SOURCE, MATRIX, BUNDLE, LISTS, OUTCOMES} | CATALOGUE),
    # The truth that is stored beside the panel is that of the same definition, and the bundle's texts tell it.
    ("churn's definition", churn, {label_asset("churn_signal"), SOURCE, BUNDLE}),
    ("a label's formula", formula, {label_asset("mcc_diversity_trend")}),
    # The shared bottom that the teacher is compared with has the teacher's dropout.
    ("teacher.dropout", dropout, {TEACHER, PREDICTIONS, BASELINES, EXPLANATIONS, TRANSFER}),
    ("a word in the evaluation's template", word_in_the_evaluation, {EVALUATION}),
    ("a word in the explanations' template", word_in_the_explanations, {EXPLANATIONS}),
    ("a word in the students' template", word_in_the_students, {FIDELITY}),
    # All pages extend the template that holds it.
    ("the style of pages", style_of_pages, {EVALUATION, EXPLANATIONS, FIDELITY, LISTS}),
    # Templates name functions of modules that are handed over whole.
    ("a number in the evaluation's page", number_in_the_evaluation, {EVALUATION}),
    ("a number in the explanations' page", number_in_the_explanations, {EXPLANATIONS}),
    # C23 judges the stored figures again, and so does the bundle, which leaves out a copy that misses one; no tree changes.
    ("a fidelity floor", fidelity_floor, {BUNDLE, FIDELITY}),
    ("how the students' columns are probed", probe_rounds, {COLUMNS, FIDELITY} | STUDENTS),
    ("how many rows teach without labels", transfer_rows, {TRANSFER, FIDELITY} | STUDENTS),
    ("the penalties of the choice model", choice_penalties, {CHOICE}),
    ("the penalties of a rival", rival_penalties, {LIST_RIVALS}),
    ("the weight of a kind of term", term_weight, {BUNDLE}),
    ("a student's rounds", student_rounds, {FIDELITY} | STUDENTS),
    ("how many copies a promotion asks for", minimum_copies, set()),
    ("a threshold of a check", check_threshold, set()),
    ("another data set's YAML", other_data_set, set()),
    ("a generator of docs", generator_of_docs, set()),
    ("a reason template", reason_template, {BUNDLE}),
    ("the op of the predictions", op_of_the_predictions, {PREDICTIONS}),
    ("the op of the labels", op_of_the_labels, LABELS),
    ("what an op names in its module", what_an_op_names_in_its_module, {RECOMMENDATIONS, DECISIONS}),
    ("an asset's description", description_of_an_asset, set()),
    ("a comment", comment, set()),
]


@pytest.mark.parametrize(("edit", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_exactly_the_expected_assets_become_stale(
    tree: Tree, before: Versions, edit: Callable[[Tree], None], expected: set[str]
) -> None:
    edit(tree)
    after = tree.versions()
    assert {path for path in before if after[path] != before[path]} == expected


def test_the_cutoff_makes_all_that_is_cut_by_it_stale(tree: Tree, before: Versions) -> None:
    cutoff(tree)
    after = tree.versions()
    stale = {path for path in before if after[path] != before[path]}
    assert {SOURCE, SPLITS, MATRIX, BUNDLE, RECOMMENDATIONS} | RAW | STATES | FEATURES | LABELS <= stale


def test_the_sampling_makes_all_that_draws_customers_stale(tree: Tree, before: Versions) -> None:
    sampling(tree)
    after = tree.versions()
    stale = {path for path in before if after[path] != before[path]}
    followers = {PREDICTIONS, EVALUATION, FIDELITY} | STUDENTS  # they follow what was drawn
    assert stale == STATES | {MATRIX, LISTS, LIST_RIVALS} | MODELS - followers


def test_what_reads_a_stale_group_follows_it(graph: AssetGraph) -> None:
    lag = group_asset("txn_lag_tensor")
    following = graph.downstream([lag], graph.paths)
    lists = {LISTS, LIST_RIVALS, CHAMPION, RECOMMENDATIONS, DECISIONS, EXPERT_SHARES, OUTCOMES}
    assert {lag, MATRIX, CHOICE, BUNDLE, PUBLISHED} | lists | MODELS == set(following)


def test_an_untouched_copy_is_current_wherever_it_lies(tree: Tree, before: Versions) -> None:
    assert tree.versions() == before


def test_a_threshold_makes_the_checks_that_compare_with_it_stale_and_no_other() -> None:
    def bases(**checks: Any) -> dict[tuple[str, str], str]:
        settings = load_settings("synthetic", "smoke", overrides={"checks": checks})
        return {(check.name, check.asset): check.basis for check in declared_checks(Platform.of(settings))}

    before = bases()
    for changed, names in (
        ({"max_constant_columns": 3}, {"columns_vary", "columns_vary_on_train"}),
        ({"denied_names": ["x"]}, {"no_direct_identifiers"}),
    ):
        after = bases(**changed)
        stale = {check for check in before if after[check] != before[check]}
        assert {check for check, _ in stale} == names, changed
        assert stale == {check for check in before if check[0] in names}
