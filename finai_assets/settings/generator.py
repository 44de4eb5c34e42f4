"""Sections of the settings that only the synthetic generator reads: who its customers are and what moves them.

Names of personas, stages, episodes, products and merchant categories occur in the YAML alone; :class:`ProcessSettings`
checks that they agree with each other, :class:`finai_assets.settings.Settings` that they agree with the catalogue.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share


class _Tilt(Section):
    prefers: dict[str, PositiveNumber]


class PersonaProcess(_Tilt):
    """A way of living: ``share`` of customers, monthly ``transactions``, hours, and the categories it prefers.

    ``hours`` are shares of morning (6-12), afternoon (12-18), evening (18-24) and night (0-6); ``weekend`` multiplies the
    activity of Saturdays and Sundays; ``prefers`` multiplies the weight of L1 or L2 categories; ``age``, ``wealth`` and
    ``risk`` say who tends to live so (log-odds per standard deviation).
    """

    share: PositiveNumber
    transactions: PositiveNumber
    sticky: Share
    hours: tuple[PositiveNumber, PositiveNumber, PositiveNumber, PositiveNumber]
    weekend: PositiveNumber
    age: float = 0.0
    wealth: float = 0.0
    risk: float = 0.0


class StageProcess(_Tilt):
    """A stage of life, left for the next one around ``until_age``; the last stage has none."""

    until_age: int | None


class EpisodeProcess(_Tilt):
    """A passing life event: starts at a ``monthly`` rate (times that of the stage), lasts ``months`` on average."""

    monthly: Share
    months: Annotated[float, Field(ge=1)]
    activity: PositiveNumber
    stages: dict[str, PositiveNumber] = Field(default_factory=dict)


class SpendingProcess(Section):
    """Payments in an L2 category: how often relative to others, the median amount, the log-normal spread."""

    weight: PositiveNumber
    amount: PositiveNumber
    spread: PositiveNumber


class BillProcess(Section):
    """A bill paid once a month on the customer's own day: who has it, the median amount, the spread between customers."""

    mcc: int
    share: Share
    amount: PositiveNumber
    spread: PositiveNumber


class ProductProcess(Section):
    """What opens and closes a product. Effects are log-hazard ratios unless said otherwise.

    ``starts`` is the probability to hold it on joining, ``opens`` and ``closes`` are monthly hazards of the reference
    customer. ``spending`` lists L2 categories whose recent payments count, with the effect ``attention``. ``motif`` is an ordered
    pair of L2 categories that, paid one right after the other, count with the effect ``impulse``. ``partners`` are held
    products (the co-holding graph). ``season`` lists calendar months. ``term`` is the number of months after which it matures.
    """

    starts: Share = 0.0
    opens: Share
    closes: Share
    personas: dict[str, float] = Field(default_factory=dict)
    stages: dict[str, float] = Field(default_factory=dict)
    episodes: dict[str, float] = Field(default_factory=dict)
    wealth: float = 0.0
    risk: float = 0.0
    wealth_risk: float = 0.0
    engagement: float = 0.0
    spending: tuple[str, ...] = ()
    attention: float = 0.0
    motif: tuple[str, str] | None = None
    impulse: float = 0.0
    partners: dict[str, float] = Field(default_factory=dict)
    season: tuple[Annotated[int, Field(ge=1, le=12)], ...] = ()
    term: Annotated[int, Field(ge=2)] | None = None


class PopulationProcess(Section):
    """Who the customers are: shares of categories, and of values that the bank does not know."""

    median_income: PositiveNumber
    genders: dict[str, PositiveNumber]
    countries: dict[str, PositiveNumber]
    channels: dict[str, PositiveNumber]
    regions: dict[str, PositiveNumber]
    disability: Share
    joiners_a_year: Share
    missing: dict[str, Share]


class ProcessSettings(Section):
    """The process that the synthetic panel is drawn from."""

    population: PopulationProcess
    personas: dict[str, PersonaProcess]
    stages: dict[str, StageProcess]
    episodes: dict[str, EpisodeProcess]
    spending: dict[str, SpendingProcess]
    follows: dict[int, tuple[int, ...]]
    bills: tuple[BillProcess, ...]
    paydays: tuple[Annotated[int, Field(ge=1, le=28)], ...]
    amount_unit: PositiveNumber
    products: dict[str, ProductProcess]

    @model_validator(mode="after")
    def _names_agree(self) -> ProcessSettings:
        for code, product in self.products.items():
            for kind, named, known in (
                ("persona", product.personas, self.personas),
                ("stage", product.stages, self.stages),
                ("episode", product.episodes, self.episodes),
                ("product", product.partners, self.products),
                ("L2 category", [*product.spending, *(product.motif or ())], self.spending),
            ):
                if unknown := set(named) - set(known):
                    raise ValueError(f"products.{code} names an unknown {kind}: {sorted(unknown)}")
        for name, episode in self.episodes.items():
            if unknown := set(episode.stages) - set(self.stages):
                raise ValueError(f"episodes.{name} names an unknown stage: {sorted(unknown)}")
        *_, last = self.stages.values()
        if last.until_age is not None or any(s.until_age is None for s in list(self.stages.values())[:-1]):
            raise ValueError("stages: every stage but the last one needs until_age")
        return self


class GeneratorSettings(Section):
    """Size of the synthetic panel; ignored by every other adapter."""

    customers: Positive
    block_customers: Positive
    merchants_per_mcc: Positive
    truth_draws: Positive
    process: ProcessSettings
