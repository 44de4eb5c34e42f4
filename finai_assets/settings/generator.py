"""Sections of the settings that only the synthetic generator reads: who its customers are and what moves them.

Names of personas, stages, episodes, products and merchant categories occur in the YAML alone; :class:`ProcessSettings`
checks that they agree with each other, :class:`finai_assets.settings.Settings` that they agree with the catalogue.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share


class _Tilt(Section):
    # L1 or L2 category -> factor on the weight of its payments: above 1 more of them, below 1 fewer
    prefers: dict[str, PositiveNumber]


class PersonaProcess(_Tilt):
    """A way of living: how often, when and for what its customers pay, and who tends to live so."""

    share: PositiveNumber  # weight of the persona among all, before age, wealth and risk tilt it
    transactions: PositiveNumber  # payments a month, bills left out, of a customer of average engagement
    sticky: Share  # share of payments in the same category as the one before
    # weights of morning (6-12), afternoon (12-18), evening (18-24) and night (0-6) in the payments of a day
    hours: tuple[PositiveNumber, PositiveNumber, PositiveNumber, PositiveNumber]
    weekend: PositiveNumber  # factor on the payments of Saturdays and Sundays
    age: float = 0.0  # log-odds of living so per standard deviation of age
    wealth: float = 0.0  # log-odds of living so per standard deviation of wealth
    risk: float = 0.0  # log-odds of living so per standard deviation of the appetite for risk


class StageProcess(_Tilt):
    """A stage of life: until when it lasts, and the categories it prefers."""

    until_age: int | None  # age in years around which it is left for the next stage; null for the last one alone


class EpisodeProcess(_Tilt):
    """A passing life event: how often it comes, how long it lasts, and how it moves payments."""

    monthly: Share  # probability a month that it begins, where no episode is under way
    months: Annotated[float, Field(ge=1)]  # months that it lasts on average
    activity: PositiveNumber  # factor on the number of payments while it lasts
    # stage of life -> factor on `monthly`; of a stage that is not named 1
    stages: dict[str, PositiveNumber] = Field(default_factory=dict)


class SpendingProcess(Section):
    """Payments in an L2 category: how often relative to others, the median amount, the log-normal spread."""

    weight: PositiveNumber  # weight of the category among all payments
    amount: PositiveNumber  # median amount of a payment, in the data set's currency
    spread: PositiveNumber  # standard deviation of the amount's logarithm


class BillProcess(Section):
    """A bill paid once a month on the customer's own day: who has it, the median amount, the spread between customers."""

    mcc: int  # code of the merchant category that it is paid to
    share: Share  # share of the customers who have it
    amount: PositiveNumber  # median amount a month, in the data set's currency
    spread: PositiveNumber  # standard deviation of the amount's logarithm between customers


class ProductProcess(Section):
    """What opens and closes a product; effects are log-hazard ratios, and what is left out has none."""

    starts: Share = 0.0  # probability of holding it on joining
    opens: Share  # probability a month that the reference customer opens it; the effects below multiply its hazard
    closes: Share  # probability a month that the reference customer closes it
    personas: dict[str, float] = Field(default_factory=dict)  # persona -> effect on opening
    stages: dict[str, float] = Field(default_factory=dict)  # stage of life -> effect on opening
    # life event -> effect on opening, one month after payments show it
    episodes: dict[str, float] = Field(default_factory=dict)
    wealth: float = 0.0  # effect on opening per standard deviation of wealth
    risk: float = 0.0  # effect on opening per standard deviation of the appetite for risk
    wealth_risk: float = 0.0  # effect on opening of wealth times the appetite for risk: of being both
    # effect on opening per unit of the latent engagement, beside the one that all products share
    engagement: float = 0.0
    spending: tuple[str, ...] = ()  # L2 categories whose recent payments make it more likely
    attention: float = 0.0  # effect on opening per unit of the logarithm of those payments, less what is usual
    # two L2 categories that count when one is paid right after the other; null: none
    motif: tuple[str, str] | None = None
    impulse: float = 0.0  # effect on opening of each recent such pair, up to two
    # held product -> effect on opening; doubled in the quarter after the partner was opened
    partners: dict[str, float] = Field(default_factory=dict)
    # calendar months, 1 to 12, in which it is opened more often
    season: tuple[Annotated[int, Field(ge=1, le=12)], ...] = ()
    # months after which it matures, when some of its holders leave it; null: it does not
    term: Annotated[int, Field(ge=2)] | None = None


class PopulationProcess(Section):
    """Who the customers are: shares of categories, and of values that the bank does not know."""

    median_income: PositiveNumber  # median income a year, in the data set's currency
    genders: dict[str, PositiveNumber]  # gender -> weight among the customers
    countries: dict[str, PositiveNumber]  # country of residence -> weight among the customers
    channels: dict[str, PositiveNumber]  # channel of joining -> weight among the customers
    regions: dict[str, PositiveNumber]  # region -> weight among the customers; only fairness checks see it
    disability: Share  # share of the customers with a disability; only fairness checks see it
    joiners_a_year: Share  # share of the customers who join within a year of the panel, and not before it
    missing: dict[str, Share]  # column -> share of its values that the bank does not know


class RiskProfileProcess(Section):
    """How customers come to be assessed, and what the assessment says.

    The score is the sum of the weighted appetite for risk, weighted wealth, and noise; the grade is one riskier for each bound
    below it.
    """

    never: Share  # share of customers who are not assessed unless they hold an investment
    before: Share  # share of the others who were assessed before the panel begins
    first: Share  # probability a month of a first assessment
    renewed: Share  # probability a month of a new assessment while one is valid
    expired: Share  # probability a month of a new assessment after the last one has ended
    investor: Annotated[float, Field(ge=1)]  # factor on these probabilities for who holds an investment
    valid_months: Annotated[int, Field(ge=2)]  # months for which an assessment is valid
    risk: float  # weight of the appetite for risk at the time, in standard deviations, in the score
    wealth: float  # weight of wealth at the time, in standard deviations, in the score
    noise: PositiveNumber  # standard deviation of what else moves the score
    # scores at which the grade becomes one riskier, from 6 (safest) to 1, ascending
    bounds: tuple[float, float, float, float, float]


class ConsentProcess(Section):
    """A consent or an objection: who gives it on joining, and how often it is withdrawn and given anew."""

    joining: Annotated[float, Field(gt=0, lt=1)]  # share of customers of age 45 who give it on joining
    withdrawn: Share  # probability a month that it is withdrawn while it stands
    given: Share  # probability a month that it is given, or given anew, while it does not stand
    age: float = 0.0  # log-odds of giving it on joining per decade above 45


class ContactProcess(Section):
    """Messages to those who consent to them: how many, when, and how often they name a product and which."""

    # channel -> messages a month, on average, to customers who consent to it
    monthly: dict[Literal["app", "call", "email", "sms"], Annotated[float, Field(ge=0)]]
    # first hour of a working day, and the hour at which it ends
    hours: tuple[Annotated[int, Field(ge=8, le=20)], Annotated[int, Field(ge=9, le=21)]]
    of_product: Share  # share of the messages that name a product
    held: Share  # weight of a product that the customer holds among those that are named; one that is not held has 1


class OfferProcess(Section):
    """What lawful offering needs to know, as a process: risk profiles, consents, messages and asset bands."""

    risk_profile: RiskProfileProcess  # when customers are assessed, and the score that gives their grade
    # channel -> when the consent to marketing on it is given and withdrawn
    marketing: dict[Literal["app", "call", "email", "sms"], ConsentProcess]
    # persona -> log-odds of giving a marketing consent on joining; of one that is not named 0
    personas: dict[str, float]
    automated_decision: ConsentProcess  # when the consent to automated decisions is given and withdrawn
    do_not_contact: ConsentProcess  # when customers object to any contact, and take it back
    # months after which a standing consent is confirmed; the law asks for it every two years
    confirmed_months: Positive
    contacts: ContactProcess
    band_bounds: tuple[float, ...]  # least wealth, in standard deviations, of every asset band but the first, ascending

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
    personas: dict[str, PersonaProcess]  # name -> a way of living; every customer has one for good
    stages: dict[str, StageProcess]  # name -> a stage of life, in the order in which they follow each other
    episodes: dict[str, EpisodeProcess]  # name -> a life event that comes and goes
    spending: dict[str, SpendingProcess]  # L2 category -> its payments; every one of the catalogue is listed
    # merchant category -> the three that tend to be paid next, likeliest first; one without a line is followed by its L1
    # siblings
    follows: dict[int, tuple[int, ...]]
    bills: tuple[BillProcess, ...]  # bills that are paid once a month
    # days of the month on which income arrives, one for each customer; payments are denser after it
    paydays: tuple[Annotated[int, Field(ge=1, le=28)], ...]
    amount_unit: PositiveNumber
    # product's code -> what opens and closes it; every one of the catalogue is listed
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

    customers: Positive  # customers of the panel
    # customers that are generated at once; fewer need less memory. Each block has random streams of its own, so that another
    # size is another panel
    block_customers: Positive
    merchants_per_mcc: Positive  # different merchants of each merchant category
    # simulated label windows behind the two truths that have no closed form; more make them more exact and take longer
    truth_draws: Positive
    process: ProcessSettings
