"""The door of the bundle: the signed folder that serving loads, as one asset."""

import dagster as dg
import numpy as np

from finai_assets.bundle.build import build_bundle
from finai_assets.bundle.registry import export, set_alias
from finai_assets.bundle.shares import acquisition_shares
from finai_assets.doors import BUNDLE, facts
from finai_assets.features.matrix import load_matrix
from finai_assets.made_with import EXTRA as MADE_WITH
from finai_assets.made_with import made_with
from finai_assets.platform import Platform
from finai_assets.students.assets import student_asset
from finai_assets.students.result import from_files, require_budget
from finai_assets.teacher.assets import EVALUATION_ASSET, MATRIX_ASSET, TEACHER_ASSET, read_files
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.lake_resource import LakeResource
from finai_resources.warehouse_resource import WarehouseResource

BUNDLE_ASSET = "serving/bundle"


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the bundle."""
    settings, tasks = platform.settings, platform.available_tasks

    @dg.asset(
        key=BUNDLE_ASSET.split("/"),
        group_name="serving",
        deps=[
            *(student_asset(task).split("/") for task in tasks),
            ["raw", "products"],
            *(path.split("/") for path in (MATRIX_ASSET, TEACHER_ASSET, EVALUATION_ASSET)),  # their checks, and no more
        ],
        kinds={"lightgbm", "json"},
        code_version=BUNDLE.code_version,
        description="Models, feature contract, rules, reason templates and golden rows, each hashed, the whole signed.",
    )
    def bundle(
        lake: LakeResource, warehouse: WarehouseResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> dg.MaterializeResult:
        session = lake.session()
        behind = (MATRIX_ASSET, TEACHER_ASSET, EVALUATION_ASSET, *map(student_asset, tasks))
        gates.demand(session.lake, [(path, None) for path in behind])
        matrix = load_matrix(session)
        test = matrix.rows("test")
        chosen = np.random.default_rng(settings.seed).choice(
            test.stop - test.start, size=min(settings.bundle.golden_rows, test.stop - test.start), replace=False
        )
        key = home.secrets().key("signing")
        students = {task.name: read_files(session, student_asset(task)) for task in tasks}
        budget = require_budget({name: from_files(stored) for name, stored in students.items()}, settings.students)
        files = build_bundle(
            students=students,
            registry=platform.registry,
            tasks=platform.tasks,
            settings=settings,
            splits=platform.splits,
            products=session.read("raw/products"),
            shares=acquisition_shares(warehouse.over(session), list(platform.splits.train), settings),
            golden=np.array(matrix.X[np.sort(chosen) + test.start]),
            key=key,
            versions={"data": session.manifest(MATRIX_ASSET).content_hash, "code": BUNDLE.code_version},
        )
        with session.write(
            BUNDLE_ASSET,
            code_version=BUNDLE.code_version,
            config_hash=BUNDLE.config_hash(settings),
            extra={MADE_WITH: made_with(settings.seed)},
        ) as out:
            for name, content in files.items():
                out.put(name, content)
        assert out.manifest is not None  # noqa: S101 - set by the commit above
        folder = export(files, home.path)
        set_alias(home.path, "challenger", folder.name)
        return dg.MaterializeResult(
            metadata={
                **facts(out.manifest),
                **budget,
                "bundle_id": folder.name,
                "folder": dg.MetadataValue.path(str(folder)),
            },
            data_version=dg.DataVersion(out.manifest.content_hash),
        )

    return [bundle]
