"""C15: how well what the models read foretells each protected attribute, and who has assessed it."""

from __future__ import annotations

from datetime import date

import numpy as np

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.settings.checks import Assessment, ProxyStrengthSettings
from finai_assets.training.matrix import ASSET as MATRIX_ASSET
from finai_assets.training.matrix import load_matrix
from finai_checks.fairness.canaries import copies_gender
from finai_checks.fairness.protected import Attribute, protected_rows
from finai_checks.fairness.proxy_strength import proxy_strength
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, declare
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

_MANY = 1000  # customers, from which a second thread is worth its start

# On the matrix and not on each month of features: the models cost some seconds, ten times all checks of a month of 10,000
# customers together, and what a model may learn of an attribute is in the rows that it learns from.
STRENGTH = Kind(
    "C15",
    "proxy_strength",
    "what the models read does not foretell a protected attribute of customers beyond the threshold, or it has been assessed",
    blocking=False,
    minimum=100,
    units="customers",
    thresholds=("checks.proxy_strength",),
)


def _declare(platform: Platform) -> list[Declared]:
    return [declare(STRENGTH, MATRIX_ASSET, _evaluate(platform), platform.settings)]


def _evaluate(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        matrix, settings = load_matrix(session), platform.settings
        chosen, policy = settings.checks.proxy_strength, settings.checks.prohibited_inputs.permitted
        known = protected_rows(session, matrix, customers=chosen.customers, seed=settings.seed)
        read = [at for at, name in enumerate(matrix.columns) if not settings.inputs.withholds(name)]
        return proxy_strength(
            matrix.X[known.rows][:, read],
            [matrix.columns[at] for at in read],
            known.customer,
            known.attributes,
            openly=[(attribute, column) for attribute, entry in policy.items() for column in entry.columns],
            chosen=chosen,
            confidence=settings.metrics.confidence,
            seed=settings.seed,
            threads=settings.lake.workers if len(known.rows) >= _MANY else 1,
        )

    return evaluate


def _canaries(settings: Settings) -> list[Canary]:
    rng = np.random.default_rng(11)
    n, today = 400, date(2026, 6, 1)
    gender, region = rng.integers(0, 2, n), rng.choice(3, n, p=[0.6, 0.25, 0.15])
    rare = (np.arange(n) < 12).astype(np.int64)
    genders = Attribute("gender", ("F", "M"), gender)
    regions = Attribute("region", ("capital", "city", "country"), region)
    honest = {"income": rng.normal(size=n), "visits": rng.poisson(4, n), "spend": rng.normal(size=n)}
    slightly = {"cosmetics": gender + 2 * rng.normal(size=n)}
    perfectly = {"salutation": 3 - gender}
    jointly = {"left": (hidden := rng.integers(0, 2, n)), "right": hidden ^ gender}  # neither says anything alone

    def until(last: date) -> ProxyStrengthSettings:
        entry = Assessment(id="DPIA-7", reason="assessed by the data protection officer", expires=last)
        return base.model_copy(update={"assessments": {"gender": entry}})

    base = settings.checks.proxy_strength.model_copy(
        update={"group_customers": 40, "assessments": {}, "learning_rate": 0.3, "column_share": 1.0}
    )

    def canary(
        label: str,
        expects: str | None,
        columns: dict[str, np.ndarray],
        *attributes: Attribute,
        chosen: ProxyStrengthSettings = base,
        openly: tuple[tuple[str, str], ...] = (),
    ) -> Canary:
        def evaluate() -> CheckOutcome:
            X = np.column_stack([np.asarray(values, np.float32) for values in columns.values()])
            return proxy_strength(
                X, tuple(columns), np.arange(n), attributes, openly=openly, chosen=chosen, confidence=0.95, seed=1,
                threads=1, today=today,
            )  # fmt: skip

        return Canary(STRENGTH, label, expects, evaluate)

    return [
        canary("columns that say nothing of gender or region", None, honest, genders, regions),
        canary("a column that says a little of gender", None, {**honest, **slightly}, genders),
        canary("a perfect proxy that was assessed", None, {**honest, **perfectly}, genders, chosen=until(date(2026, 6, 1))),
        canary("a column that policy allows to carry gender", None, {**honest, **perfectly}, genders,
               openly=(("gender", "salutation"),)),
        canary("a perfect proxy without an assessment", "gender is foretold: AUC 1.000", {**honest, **perfectly}, genders),
        canary("a perfect proxy whose assessment has expired", "assessment DPIA-7 has expired on 2026-05-31",
               {**honest, **perfectly}, genders, chosen=until(date(2026, 5, 31))),
        canary("an assessment of another attribute", "region is foretold", {**honest, "metro": region == 0},
               genders, regions, chosen=until(date(2026, 12, 31))),
        canary("a column that gives one of three groups away", "of country > 0.8", {**honest, "village": region == 2}, regions),
        canary("two columns that tell it together only", "gender is foretold", {**honest, **jointly}, genders),
        canary("a group of twelve customers", "rare: too few customers to judge (no 388, yes 12", honest,
               Attribute("rare", ("no", "yes"), rare)),
        canary("an attribute that is the same for all", "region: too few customers to judge (capital 400", honest,
               Attribute("region", ("capital",), np.zeros(n, np.int64))),
        canary("no protected attribute", NO_EVIDENCE, honest),
    ]  # fmt: skip


def _lake_canaries() -> list[LakeCanary]:
    return [
        LakeCanary(STRENGTH, MATRIX_ASSET, "a matrix of honest features, with an assessment for age"),
        LakeCanary(
            STRENGTH, MATRIX_ASSET, "gender in the place of another column", "gender is foretold", copies_gender
        ),
    ]


THEME = Theme((STRENGTH,), _declare, _canaries, _lake_canaries)
