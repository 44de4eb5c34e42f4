"""Sections of the settings that only the synthetic generator reads: who its customers are and what moves them.

Names of personas, stages, episodes, products and merchant categories occur in the YAML alone; :class:`ProcessSettings`
checks that they agree with each other, :class:`finai_assets.settings.Settings` that they agree with the catalogue.
"""

from __future__ import annotations

from typing import Annotated, Literal

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


class RiskProfileProcess(Section):
    """How customers come to be assessed, and what the assessment says.

    A customer is assessed at a monthly hazard: ``first`` before any assessment, ``renewed`` while one is valid, ``expired``
    after it has ended; those who hold an investment ``investor`` times as often. ``never`` is the share of the others who are
    not assessed at all, ``before`` the share of the remaining who were before the panel. An assessment is valid for
    ``valid_months``. Its score is ``risk`` and ``wealth`` times those of the time (standard deviations) and noise; the grade is
    one riskier for each bound below it.
    """

    never: Share
    before: Share
    first: Share
    renewed: Share
    expired: Share
    investor: Annotated[float, Field(ge=1)]
    valid_months: Annotated[int, Field(ge=2)]
    risk: float
    wealth: float
    noise: PositiveNumber
    bounds: tuple[float, float, float, float, float]


class ConsentProcess(Section):
    """A consent or an objection: the share that gives it on joining, and monthly hazards to withdraw and to give it (anew).

    ``age`` is the log-odds per decade above 45 of giving it on joining.
    """

    joining: Annotated[float, Field(gt=0, lt=1)]
    withdrawn: Share
    given: Share
    age: float = 0.0


class ContactProcess(Section):
    """Messages a month by channel, to those who consent to it: when, and how often they name a product and which.

    ``hours`` are the first and the last hour of a working day, the last left out; ``held`` is the weight of a product that the
    customer holds, of one that is not held it is 1.
    """

    monthly: dict[Literal["app", "call", "email", "sms"], Annotated[float, Field(ge=0)]]
    hours: tuple[Annotated[int, Field(ge=8, le=20)], Annotated[int, Field(ge=9, le=21)]]
    of_product: Share
    held: Share


class OfferProcess(Section):
    """What lawful offering needs to know, as a process: risk profiles, consents, messages and asset bands.

    ``personas`` are log-odds of giving a marketing consent on joining; a standing consent is confirmed when it is
    ``confirmed_months`` old; ``band_bounds`` are the least wealth (standard deviations) of every asset band but the first.
    """

    risk_profile: RiskProfileProcess
    marketing: dict[Literal["app", "call", "email", "sms"], ConsentProcess]
    personas: dict[str, float]
    automated_decision: ConsentProcess
    do_not_contact: ConsentProcess
    confirmed_months: Positive
    contacts: ContactProcess
    band_bounds: tuple[float, ...]

    @model_validator(mode="after")
    def _bounds_ascend(self) -> OfferProcess:
        for name, bounds in (("risk_profile.bounds", self.risk_profile.bounds), ("band_bounds", self.band_bounds)):
            if list(bounds) != sorted(set(bounds)):
                raise ValueError(f"offers.{name} must ascend")
        if self.contacts.hours[0] >= self.contacts.hours[1]:
            raise ValueError("offers.contacts.hours: the first hour is not before the last")
        if len(self.marketing) != 4 or len(self.contacts.monthly) != 4:
            raise ValueError("offers.marketing and offers.contacts.monthly need all of app, call, email, sms")
        return self


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
    offers: OfferProcess

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
        if unknown := set(self.offers.personas) - set(self.personas):
            raise ValueError(f"offers.personas names an unknown persona: {sorted(unknown)}")
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
