"""The Dagster assets of the bundle: the signed folder that serving loads, and its publication once its checks have passed."""

import dagster as dg
import numpy as np

from finai_assets.asset_graph import BUNDLE, CHOICE, MATRIX, PRODUCT_TERMS, PRODUCTS, PUBLISHED, student_asset
from finai_assets.automation.specs import entered, spec_of, stored, writing
from finai_assets.bundle.build import build_bundle
from finai_assets.bundle.content import RULES_FILE, read_config, rule_columns, rules_content
from finai_assets.bundle.facts import Known
from finai_assets.bundle.lineage import lineage_of
from finai_assets.bundle.registry import export, id_of, register
from finai_assets.bundle.shares import acquisition_shares
from finai_assets.choice.model import FILE as CHOICE_FILE
from finai_assets.features.state import load_states
from finai_assets.platform import Platform
from finai_assets.students.result import from_files, require_budget
from finai_assets.training.matrix import load_matrix
from finai_resources.gates import Gates
from finai_resources.home_resource import HomeResource
from finai_resources.json_text import to_json
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.warehouse_resource import WarehouseResource

NAMED_BY = ("mcc_top30_multihot", "demographics")  # groups whose fitted states the reasons need
FIDELITY_CHECK = "student_fidelity"  # C23: where a copy passes it by an override, layer 2 serves the task


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the bundle, and its publication, where there are products to recommend."""
    return [_bundle(platform), _published(platform)] if BUNDLE in platform.graph else []


def _bundle(platform: Platform) -> dg.AssetsDefinition:
    description = "Models, feature contract, rules, reason templates and golden rows, each hashed, the whole signed."

    @dg.multi_asset(name="bundle", specs=[spec_of(platform, BUNDLE, description, {"lightgbm", "json"})])
    def bundle(
        lake: LakeResource, warehouse: WarehouseResource, home: HomeResource, gates: dg.ResourceParam[Gates]
    ) -> dg.MaterializeResult:
        session, graph = entered(lake, gates, platform, BUNDLE), platform.graph
        settings = graph.settings_of(BUNDLE)
        matrix = load_matrix(session)
        test = matrix.rows("test")
        golden = np.random.default_rng(settings.seed).choice(
            test.stop - test.start, size=min(settings.bundle.golden_rows, test.stop - test.start), replace=False
        )
        students = {task.name: session.read_files(student_asset(task.name)) for task in platform.available_tasks}
        rules = rules_content(read_config(RULES_FILE), platform.registry, settings)
        budget = require_budget(
            {name: from_files(files) for name, files in students.items()},
            settings.students,
            rule_columns(rules),
        )
        files = build_bundle(
            students=students,
            registry=platform.registry,
            tasks=platform.tasks,
            settings=settings,
            splits=platform.splits,
            products=session.read(PRODUCTS),
            terms=session.read(PRODUCT_TERMS),
            shares=acquisition_shares(warehouse.over(session), list(platform.splits.train), settings),
            golden=np.array(matrix.X[np.sort(golden) + test.start]),
            key=home.secrets().key("signing"),
            overridden=overridden_tasks(gates, session.lake, platform),
            choice=session.read_bytes(CHOICE, None, CHOICE_FILE),
            known=known_of(session, platform),
            versions={"data": session.manifest(MATRIX).content_hash, "code": graph.code_version(BUNDLE)},
        )
        with writing(session, platform, BUNDLE, model=True) as out:
            for name, content in files.items():
                out.put(name, content)
        return stored(session, BUNDLE, **budget, bundle_id=id_of(files))

    return bundle


def _published(platform: Platform) -> dg.AssetsDefinition:
    description = (
        "The id of the bundle that became challenger, and that the handler may load: once its own checks have passed."
    )

    @dg.multi_asset(name="published", specs=[spec_of(platform, PUBLISHED, description, {"json"})])
    def published(lake: LakeResource, home: HomeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        session = entered(lake, gates, platform, PUBLISHED)
        files = session.read_files(BUNDLE)
        folder = export(files, home.path)
        asked = [path for path, read in platform.graph.reads(BUNDLE) if not read.data]
        bundle_id = register(session.lake, files, lineage_of(session.lake, BUNDLE, asked))
        with writing(session, platform, PUBLISHED) as out:
            out.put("published.json", to_json({"bundle": bundle_id}))
        return stored(session, PUBLISHED, bundle_id=bundle_id, folder=dg.MetadataValue.path(str(folder)))

    return published


def known_of(session: LakeSession, platform: Platform) -> Known:
    """Return what the fitted states of two groups know beyond the contract: codes by rank, and what stands for missing values."""
    names = {group.name for group in platform.registry.available} & set(NAMED_BY)
    states = load_states(session, sorted(names))
    codes = states["mcc_top30_multihot"].params["mcc_codes"] if "mcc_top30_multihot" in states else ()
    tenure = states["demographics"].params["tenure_median"] if "demographics" in states else ()
    return Known(tuple(int(code) for code in codes), {"tenure_months": [float(value) for value in tenure]})


def overridden_tasks(gates: Gates, lake: Lake, platform: Platform) -> dict[str, str]:
    """Return the tasks whose copies miss a floor by permission, with the text of the override."""
    task_of = {student_asset(task.name): task.name for task in platform.available_tasks}
    found = gates.overridden(lake, FIDELITY_CHECK, [(asset, None) for asset in task_of])
    return {task_of[asset]: text for asset, text in found.items()}
