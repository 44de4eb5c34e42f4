"""The table of contents: what Dagster is told, asset by asset."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource
from dagster_duckdb import DuckDBResource

from finai_assets.asset_graph import state_asset
from finai_assets.automation.specs import column_key
from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError
from finai_resources.home import Home
from finai_resources.lake_resource import LakeResource

STORY = (
    "source", "catalogue", "raw", "feature_state", "features", "labels", "splits", "teacher", "students", "choice", "serving",
    "promotion", "recommendations", "expert_shares",
    "outcomes",
)  # fmt: skip
JOBS = {
    "source", "ingest_month", "fit_features", "monthly_features", "monthly_labels", "train", "promote", "score_month",
    "explain_month", "judge_month", "audit", "verify_home", "freshness",
}  # fmt: skip


@pytest.fixture(scope="module")
def chosen() -> Settings:
    return load_settings("synthetic", "smoke")


@pytest.fixture(scope="module")
def built(chosen: Settings, tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(settings=chosen, home=Home.at(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def specs(built: dg.Definitions) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in built.resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def platform(chosen: Settings) -> Platform:
    return Platform.of(chosen)


def test_the_groups_read_as_the_story(specs: dict[dg.AssetKey, dg.AssetSpec], platform: Platform) -> None:
    groups = {spec.group_name for spec in specs.values()}
    columns = {f"features_{group.name}" for group in platform.registry.available}
    assert groups == set(STORY) | columns


def test_the_op_that_an_asset_declares_is_the_one_that_dagster_calls(built: dg.Definitions, platform: Platform) -> None:
    called = {}
    for definition in built.resolve_asset_graph().assets_defs:
        if definition.is_executable and definition.keys:
            function = definition.op.compute_fn.decorated_fn
            called |= {"/".join(key.path): f"{function.__module__}:{function.__name__}" for key in definition.keys}
    declared = {path: platform.graph[path].op for path in platform.graph.paths}
    assert {path: called[path] for path in declared} == declared


def test_the_jobs_are_those_that_a_person_starts(built: dg.Definitions) -> None:
    named = {job.name for job in built.resolve_all_job_defs() if not job.name.startswith("__")}
    assert named == JOBS


def test_dagsters_own_asset_job_runs_in_one_process_as_the_named_jobs_do(built: dg.Definitions) -> None:
    jobs = [*built.resolve_all_job_defs(), built.resolve_implicit_global_asset_job_def()]
    assert {job.executor_def.name for job in jobs} == {"in_process"}
    assert {job.executor_def.name for job in dg.Definitions(assets=[dg.AssetSpec("a")]).resolve_all_job_defs()} <= {
        "multi_or_in_process_executor"
    }


def test_raw_tables_and_groups_show_their_columns_and_what_each_is_computed_from(
    specs: dict[dg.AssetKey, dg.AssetSpec], platform: Platform
) -> None:
    raw = {key: spec for key, spec in specs.items() if key.path[0] == "raw" and key.path[1] != "protected_attributes"}
    columns = {key: {c.name for c in spec.metadata["dagster/column_schema"].columns} for key, spec in raw.items()}
    assert len(columns) == 9
    for group in platform.registry.available:
        metadata = specs[dg.AssetKey(group.asset.split("/"))].metadata
        shown = [column.name for column in metadata["dagster/column_schema"].columns]
        assert shown == ["customer_id", *group.names]
        deps = metadata["dagster/column_lineage"].deps_by_column
        assert set(deps) == set(group.names)
        for dep in {dep for of_column in deps.values() for dep in of_column}:
            assert dep.column_name in columns[dep.asset_key]  # a column that the raw table has


def test_runs_of_feature_months_share_a_pool(built: dg.Definitions) -> None:
    pools = {
        definition.op.name: definition.op.pool
        for definition in built.resolve_asset_graph().assets_defs
        if definition.is_executable and definition.keys
    }
    assert {name for name, pool in pools.items() if pool} == {"features"}


def test_schedules_and_sensors_are_off_until_somebody_switches_them_on(built: dg.Definitions) -> None:
    repository = built.get_repository_def()
    schedules = {schedule.name: schedule.default_status for schedule in repository.schedule_defs}
    assert set(schedules) == {"nightly_audit", "nightly_verify_home", "monthly_scoring", "monthly_freshness"}
    assert set(schedules.values()) == {dg.DefaultScheduleStatus.STOPPED}
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    off = dg.DefaultSensorStatus.STOPPED
    assert sensors == {"drift": off, "stale_feature_months": off}  # a generated panel has no source to watch


def test_freshness_warns_on_groups_and_recommendations_and_runs_in_no_job_but_its_own(
    built: dg.Definitions, platform: Platform
) -> None:
    graph = built.resolve_asset_graph()
    fresh = {key for key in graph.asset_check_keys if key.name == "freshness_check"}
    named = {"/".join(key.asset_key.path) for key in fresh}
    assert named == {*(group.asset for group in platform.registry.available), "recommendations/customers"}
    assert not any(graph.get(key).blocking for key in fresh)
    for job in built.resolve_all_job_defs():
        if not job.name.startswith("__"):
            asks = any(node.name.startswith("freshness_check") for node in job.nodes)
            assert asks == (job.name == "freshness"), job.name


def test_every_column_is_a_virtual_asset_downstream_of_its_group(
    specs: dict[dg.AssetKey, dg.AssetSpec], platform: Platform
) -> None:
    assert len(platform.registry.columns) == 1211
    for column in platform.registry.columns:
        spec = specs[column_key(column)]
        assert spec.is_virtual
        assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey(["features", column.group])]


def test_the_training_matrix_depends_on_groups_and_on_columns(
    specs: dict[dg.AssetKey, dg.AssetSpec], platform: Platform
) -> None:
    upstream = {dep.asset_key for dep in specs[dg.AssetKey(["teacher", "training_matrix"])].deps}
    assert {dg.AssetKey(group.asset.split("/")) for group in platform.registry.available} <= upstream
    assert {column_key(column) for column in platform.registry.columns} <= upstream


def test_a_state_reads_train_months_with_their_look_back_and_nothing_later(
    specs: dict[dg.AssetKey, dg.AssetSpec], platform: Platform
) -> None:
    last = platform.splits.train[-1].partition_key
    for group in platform.registry.available:
        for dep in specs[dg.AssetKey(state_asset(group.name).split("/"))].deps:
            mapping = dep.partition_mapping
            if dep.asset_key.path[1] in {"products", "merchant_categories"}:
                assert mapping is None
                continue
            assert isinstance(mapping, dg.SpecificPartitionsPartitionMapping)
            assert max(mapping.partition_keys) == last


def test_every_gate_blocks(built: dg.Definitions, platform: Platform) -> None:
    graph = built.resolve_asset_graph()
    blocking = {key.name for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == {
        "C01_no_direct_identifiers",
        "C02_pseudonym_keyed",
        "C05_schema_contract",
        "C05_source_schema_accepted",
        "C06_columns_vary_on_train",
        "C09_point_in_time_replay",
        "C10_inputs_as_declared",
        "C10_lineage_free_of_labels",
        "C11_no_single_column_leak",
        "C11_shuffled_future",
        "C12_fitted_on_train_only",
        "C12_model_refit_is_equal",
        "C12_refit_is_equal",
        "C12_states_refitted",
        "C12_transfer_rows",
        "C13_gap_split",
        "C14_prohibited_inputs_absent",
        "C16_lineage_complete",
        "C16_matrix_of_stored_values",
        "C17_feature_drift_psi_important",
        "C22_calibration_in_the_large",
        "C26_bundle_integrity",
        "C28_recommendations_replayed",
        "C28_teacher_is_reproducible",
        "C29_challenger_beats_champion",
        "C30_promotion_signed_by_other",
        "C31_suitability_zero_violations",
        "C32_consent_zero_leak",
        "C45_classes_recomputed",
        "C45_label_rates",
        "C45_labels_follow_the_truth",
        "C45_labels_recomputed",
        "C45_labels_see_their_window_alone",
        "C46_labels_unlike_the_month_before",
        "C46_not_above_the_ceiling",
    }
    students = [key for key in graph.asset_check_keys if key.name == "C23_student_fidelity"]
    assert len(students) == len(platform.available_tasks) == 13


def test_what_warns_in_a_smoke_run_blocks_where_the_settings_bind_it(built: dg.Definitions, tmp_path: Path) -> None:
    bound = {"metric_floor": {"binding": True}, "reproducible": {"require_clean": True}}
    strict = load_settings("synthetic", "smoke", overrides={"checks": bound})
    for definitions, blocks in ((built, False), (build_definitions(settings=strict, home=Home.at(tmp_path)), True)):
        graph = definitions.resolve_asset_graph()
        found = [k for k in graph.asset_check_keys if k.name in {"C18_metric_floor", "C28_reproducible"}]
        assert len(found) == 14 + 2
        assert {graph.get(key).blocking for key in found} == {blocks}


def test_the_bundle_waits_for_the_checks_of_all_that_it_is_made_from(
    specs: dict[dg.AssetKey, dg.AssetSpec], platform: Platform
) -> None:
    upstream = {"/".join(dep.asset_key.path) for dep in specs[dg.AssetKey(["serving", "bundle"])].deps}
    students = {f"students/{task.name}" for task in platform.available_tasks}
    assert {"teacher/training_matrix", "teacher/ple", "teacher/evaluation", *students} <= upstream


def test_resources_can_be_replaced(chosen: Settings, tmp_path: Path) -> None:
    marker = dg.ResourceDefinition.hardcoded_resource("mine")
    replaced = build_definitions(settings=chosen, home=Home.at(tmp_path), resources={"lake": marker})
    assert replaced.resources is not None
    assert replaced.resources["lake"] is marker


def test_the_warehouse_asks_the_lake_that_assets_read_a_replaced_one_too(
    built: dg.Definitions, chosen: Settings, tmp_path: Path
) -> None:
    assert built.resources is not None
    warehouse, lake = built.resources["warehouse"], built.resources["lake"]
    assert isinstance(warehouse, DuckDBResource)
    assert warehouse.lake.root == lake.root
    other = LakeResource(root=str(tmp_path / "other"), s3=S3Resource())
    replaced = build_definitions(settings=chosen, home=Home.at(tmp_path), resources={"lake": other})
    assert replaced.resources is not None
    assert replaced.resources["warehouse"].lake.root == other.root


def test_loading_the_definitions_loads_nothing_that_trains_judges_or_draws(tmp_path: Path) -> None:
    program = """
import sys
from finai_assets.definitions import build_definitions
build_definitions().get_repository_def()
print(*sorted({name.partition(".")[0] for name in sys.modules} | {"scipy.stats"} & set(sys.modules)))
"""
    environment = {**os.environ, "FINAI_DATASET": "synthetic", "FINAI_PROFILE": "smoke", "FINAI_HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    heavy = [
        "captum",
        "implicit",
        "jinja2",
        "lightgbm",
        "matplotlib",
        "ot",
        "pandas",
        "safetensors",
        "scipy.stats",
        "sklearn",
    ]
    loaded = ended.stdout.split()
    assert [name for name in [*heavy, "torch"] if name in loaded] == []
    assert {"dagster", "numpy", "finai_checks"} <= set(loaded)


def test_every_asset_has_an_owner_and_says_its_data_set(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert [key for key, spec in specs.items() if not spec.owners] == []
    assert list(specs[dg.AssetKey(["features", "demographics"])].owners) == ["team:modelling"]
    assert list(specs[dg.AssetKey(["raw", "snapshots"])].owners) == ["team:data-platform"]
    assert {spec.tags["finai/dataset"] for spec in specs.values()} == {"synthetic"}


def test_an_owner_of_a_group_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path) -> None:
    chosen = load_settings("synthetic", "smoke", overrides={"automation": {"owners": {"team:data": ["feature"]}}})
    with pytest.raises(ConfigError, match="team:data owns the group 'feature', which does not exist") as refused:
        build_definitions(settings=chosen, home=Home.at(tmp_path))
    assert "features" in refused.value.fix
    assert list(tmp_path.iterdir()) == []
