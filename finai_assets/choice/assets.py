"""The Dagster asset of the choice model."""

import dagster as dg

from finai_assets.asset_graph import CHOICE, COLUMNS
from finai_assets.automation.specs import entered, spec_of, stored, writing
from finai_assets.choice.model import FILE, to_file
from finai_assets.choice.train import train_choice
from finai_assets.evaluation.lists.outcomes import read_outcomes
from finai_assets.platform import Platform
from finai_assets.training.matrix import load_matrix
from finai_resources.gates import Gates
from finai_resources.lake_resource import LakeResource


def build_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """Return the choice model, where there are products to choose from."""
    if CHOICE not in platform.graph:
        return []
    description = (
        "Which product a customer acquires next, of those that are open: a conditional logit, linear in the columns that "
        "students read, and a second one of holdings alone, which stands behind it."
    )

    @dg.multi_asset(name="choice_model", specs=[spec_of(platform, CHOICE, description, {"numpy", "json"})])
    def choice_model(lake: LakeResource, gates: dg.ResourceParam[Gates]) -> dg.MaterializeResult:
        from finai_assets.students.columns import FILE as COLUMNS_FILE
        from finai_assets.students.columns import from_file, union_of

        session, settings = entered(lake, gates, platform, CHOICE), platform.graph.settings_of(CHOICE)
        matrix = load_matrix(session)
        outcomes = read_outcomes(
            session,
            matrix.month,
            matrix.customer,
            horizon_months=settings.horizon_months,
            products=len(settings.products),
        )
        result = train_choice(
            matrix,
            outcomes,
            settings,
            columns=union_of(from_file(session.read_bytes(COLUMNS, None, COLUMNS_FILE))),
            held=platform.held_columns,
        )
        with writing(session, platform, CHOICE, model=True) as out:
            out.put(FILE, to_file(result.models, result.card))
        return stored(session, CHOICE, **{name: len(model.columns) for name, model in result.models.items()})

    return [choice_model]
