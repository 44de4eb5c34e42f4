"""C12: what was fitted was fitted on train rows."""

from __future__ import annotations

from collections.abc import Sequence

from finai_assets.features.fit import load_states, train_sample_digest
from finai_assets.features.registry import Group
from finai_assets.features.state import state_asset
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.canary import Canary, LakeCanary
from finai_checks.declaration import Declared, Evaluate, declare
from finai_checks.kind import Kind
from finai_checks.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.small_lake import SmallLake
from finai_checks.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

ON_TRAIN_ONLY = Kind(
    "C12",
    "fitted_on_train_only",
    "the rows that the state was fitted on are the train sample",
    blocking=True,
    minimum=1,
    units="rows",
)


def fitted_on_train_only(
    *,
    fitted_months: Sequence[str],
    fitted_digest: str,
    fitted_rows: int,
    train_months: Sequence[str],
    train_digest: str,
) -> CheckOutcome:
    """Tell whether the rows that a state was fitted on are the train sample, by months and by digest of (customer, month).

    Parameters
    ----------
    fitted_months, fitted_digest, fitted_rows
        What the stored state says of the rows it saw.
    train_months, train_digest
        The same, drawn anew from the train months as they are stored now.
    """
    if fitted_rows == 0 or not fitted_months:
        return CheckOutcome.no_evidence()
    outside = sorted(set(fitted_months) - set(train_months))
    same = fitted_digest == train_digest
    reason = "; ".join(
        ([f"fitted on months outside train: {outside}"] if outside else [])
        + ([] if same else ["the fitted rows are not the train sample (their digests differ)"])
    )
    observed = {"fitted_digest": fitted_digest, "train_digest": train_digest, "months": list(fitted_months)}
    return CheckOutcome(not outside and same, reason, fitted_rows, observed, [])


def _declare(platform: Platform) -> list[Declared]:
    return [
        declare(ON_TRAIN_ONLY, state_asset(group.name), _fitted(platform, group), platform.settings)
        for group in platform.registry.available
    ]


def _fitted(platform: Platform, group: Group) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        state = load_states(session, [group])[group.name]
        train = list(platform.splits.train)
        return fitted_on_train_only(
            fitted_months=state.meta["months"],
            fitted_digest=state.meta["row_digest"],
            fitted_rows=int(state.meta["rows"]),
            train_months=[month.key for month in train],
            train_digest=train_sample_digest(session, platform.settings, train),
        )

    return evaluate


def _canaries(_settings: Settings) -> list[Canary]:
    train = ["2015-01", "2015-02"]
    inputs: list[tuple[str, str | None, list[str], str, int]] = [
        ("a state of the train sample", None, train, "d1", 10),
        ("a state that saw a test month", "outside train", [*train, "2015-06"], "d1", 10),
        ("a state of other rows of train", "digests differ", train, "d2", 10),
        ("a state of no row", NO_EVIDENCE, [], "d1", 0),
    ]

    def canary(label: str, expects: str | None, months: list[str], digest: str, rows: int) -> Canary:
        return Canary(
            ON_TRAIN_ONLY,
            label,
            expects,
            lambda: fitted_on_train_only(
                fitted_months=months,
                fitted_digest=digest,
                fitted_rows=rows,
                train_months=train,
                train_digest="d1",
            ),
        )

    return [canary(*entry) for entry in inputs]


def _lake_canaries() -> list[LakeCanary]:
    state = state_asset("demographics")
    return [
        LakeCanary(ON_TRAIN_ONLY, state, "a state as it was fitted"),
        LakeCanary(ON_TRAIN_ONLY, state, "a state that saw the test month", "outside train", _saw_test),
    ]


def _saw_test(small: SmallLake) -> None:
    """Fit the medians and codes with the test month among the rows."""
    settings = small.settings
    splits = settings.dataset.splits
    wider = splits.model_copy(update={"train": splits.train.model_copy(update={"last": small.month_of("test")})})
    dataset = settings.dataset.model_copy(update={"splits": wider})
    small.refit(settings.model_copy(update={"dataset": dataset}), groups=("demographics",))


THEME = Theme((ON_TRAIN_ONLY,), _declare, _canaries, _lake_canaries)
