"""Compiles the settings into the laws: everything that is computed once, before any customer is drawn."""

from __future__ import annotations

import calendar
from collections.abc import Iterable

import numpy as np

from finai_assets.ingest.synthetic.law import Dynamics, Law, ProductLaw, SpendingLaw, StateLaw
from finai_assets.settings import GeneratorSettings, Settings
from finai_assets.settings.generator import ProcessSettings
from finai_resources.errors import ConfigError

# Three successors: a dominant, a usual and an occasional one.
SUCCESSOR_WEIGHTS = (0.5, 0.3, 0.2)
FAVOURITE_WEIGHTS = (0.68, 0.20, 0.12)  # a habit: enough for a top category that mostly lasts from month to month
LEAF_WEIGHTS = (1.0, 0.6, 0.35)  # leaves of an L2 category, in the order of the catalogue
DAY_PARTS = (range(6, 12), range(12, 18), range(18, 24), range(6))  # morning, afternoon, evening, night
# Activity over the calendar: year-end and holiday peaks, a quiet February.
MONTH_ACTIVITY = (0.98, 0.93, 1.0, 0.99, 1.05, 0.98, 1.03, 1.02, 1.0, 1.0, 0.98, 1.10)
WEEKDAY_ACTIVITY = (0.92, 0.93, 0.96, 1.0, 1.15, 1.10, 0.94)  # Monday to Sunday, before the persona's weekend factor
PAYDAY_ACTIVITY, PAYDAY_FADES = 0.9, 4.0  # extra share on pay-day; days after which a third of it is left


def generator_of(settings: Settings) -> GeneratorSettings:
    """Return the generator's section.

    Raises
    ------
    ConfigError
        The data set has none, or it has no merchant categories.
    """
    if settings.generator is None or not settings.merchant_categories:
        raise ConfigError(
            "the data set has no generator or no merchant categories",
            where=f"configs/datasets/{settings.dataset.name}.yaml",
            fix="write `generator` and `merchant_categories`, or choose another adapter",
        )
    return settings.generator


def leaf_codes(settings: Settings) -> np.ndarray:
    """Return the MCC of each leaf index, int32 ascending."""
    return np.array(sorted(category.mcc for category in settings.merchant_categories), dtype=np.int32)


def compile_law(settings: Settings) -> Law:
    """Turn the process settings into arrays.

    Raises
    ------
    ConfigError
        The generator names a product or a merchant category that the catalogue does not have, or lacks one that it has.
    """
    process = generator_of(settings).process
    _check_names(settings, process)
    leaf = {int(code): index for index, code in enumerate(leaf_codes(settings))}
    members: dict[str, list[int]] = {}
    for category in settings.merchant_categories:
        members.setdefault(category.l2, []).append(leaf[category.mcc])
    preference = _preferences(settings, process, leaf)
    products = _products(settings, process, members, preference)
    return Law(
        Dynamics(),
        _states(settings, process),
        products,
        _spending(settings, process, leaf, preference, products.trigger),
    )


def _check_names(settings: Settings, process: ProcessSettings) -> None:
    categories = settings.merchant_categories
    codes = {category.mcc for category in categories}
    levels = {category.l2 for category in categories} | {category.l1 for category in categories}
    tilted = {**process.personas, **process.stages, **process.episodes}
    rules: tuple[tuple[str, Iterable[object], Iterable[object], bool], ...] = (
        ("products", process.products, (product.code for product in settings.products), True),
        ("spending", process.spending, (category.l2 for category in categories), True),
        ("follows", {*process.follows, *(code for after in process.follows.values() for code in after)}, codes, False),
        ("bills", (bill.mcc for bill in process.bills), codes, False),
        *((f"{name}.prefers", part.prefers, levels, False) for name, part in tilted.items()),
    )
    for name, found, known, whole in rules:
        wrong = set(found) ^ set(known) if whole else set(found) - set(known)
        if wrong:
            raise ConfigError(
                f"{sorted(map(str, wrong))} {'is in only one of the two lists' if whole else 'is not in the catalogue'}",
                where=f"generator.process.{name}",
                fix="name what `products` and `merchant_categories` list"
                + (", all of it and nothing else" if whole else ""),
            )


def _states(settings: Settings, process: ProcessSettings) -> StateLaw:
    stages, episodes = process.stages, process.episodes
    floors = len(settings.dataset.segments) - 1
    return StateLaw(
        stage_until=np.array([s.until_age if s.until_age is not None else np.inf for s in stages.values()]),
        episode_rate=np.array([[e.monthly * e.stages.get(s, 1.0) for e in episodes.values()] for s in stages]),
        episode_ends=np.array([1.0 / e.months for e in episodes.values()]),
        # each segment is about half as large as the one below it
        segment_floor=np.array([0.25 + 0.95 * step for step in range(floors)]),
        calendar=settings.dataset.raw_months.first.ordinal % 12,
    )


def _preferences(settings: Settings, process: ProcessSettings, leaf: dict[int, int]) -> np.ndarray:
    """Return the category shares [personas, stages, episodes + 1, leaves]; episode 0 is none."""
    base = np.zeros(len(leaf))
    seen: dict[str, int] = {}
    for category in settings.merchant_categories:
        rank = seen[category.l2] = seen.get(category.l2, -1) + 1
        base[leaf[category.mcc]] = process.spending[category.l2].weight * LEAF_WEIGHTS[min(rank, len(LEAF_WEIGHTS) - 1)]

    def tilt(prefers: dict[str, float]) -> np.ndarray:
        factors = np.ones(len(leaf))
        for category in settings.merchant_categories:
            factors[leaf[category.mcc]] = prefers.get(category.l2, 1.0) * prefers.get(category.l1, 1.0)
        return factors

    personas = np.array([tilt(p.prefers) for p in process.personas.values()])
    stages = np.array([tilt(s.prefers) for s in process.stages.values()])
    episodes = np.array([np.ones(len(leaf)), *(tilt(e.prefers) for e in process.episodes.values())])
    weights = base * personas[:, None, None] * stages[None, :, None] * episodes[None, None]
    shares: np.ndarray = weights / weights.sum(axis=-1, keepdims=True)
    return shares


def _products(
    settings: Settings, process: ProcessSettings, members: dict[str, list[int]], preference: np.ndarray
) -> ProductLaw:
    chosen = [process.products[product.code] for product in settings.products]
    codes = [product.code for product in settings.products]
    leaves = preference.shape[-1]
    trigger = np.zeros((leaves, len(codes)))
    motif = np.full((leaves, leaves), -1, np.int16)
    motif_of = np.full(len(codes), -1, np.int16)
    numbers: dict[tuple[str, str], int] = {}
    for position, product in enumerate(chosen):
        for name in product.spending:
            trigger[members[name], position] = 1.0
        if product.motif:
            motif_of[position] = numbers.setdefault(product.motif, len(numbers))
            motif[np.ix_(members[product.motif[0]], members[product.motif[1]])] = motif_of[position]
    persona_share = np.array([p.share for p in process.personas.values()])
    rate = np.array([p.transactions for p in process.personas.values()])
    # Payments of an average customer in a steady month, remembered over the signal's memory (a geometric sum).
    typical = np.einsum("k,ksl->l", rate * persona_share / persona_share.sum(), preference[:, :, 0]) / len(
        process.stages
    )
    usual = np.log1p(typical @ trigger / (1.0 - Dynamics().signal_keep))

    def effects(names: list[str], attribute: str) -> np.ndarray:
        return np.array([[getattr(product, attribute).get(name, 0.0) for product in chosen] for name in names])

    def numbers_of(attribute: str) -> np.ndarray:
        return np.array([getattr(product, attribute) for product in chosen], dtype=np.float64)

    return ProductLaw(
        starts=numbers_of("starts"),
        opens=np.log(-np.log1p(-numbers_of("opens"))),
        closes=np.log(-np.log1p(-numbers_of("closes"))),
        persona=effects(list(process.personas), "personas"),
        stage=effects(list(process.stages), "stages"),
        episode=np.vstack([np.zeros(len(codes)), effects(list(process.episodes), "episodes")]),
        wealth=numbers_of("wealth"),
        risk=numbers_of("risk"),
        wealth_risk=numbers_of("wealth_risk"),
        engagement=numbers_of("engagement"),
        trigger=trigger,
        attention=numbers_of("attention"),
        usual=usual,
        motif=motif,
        motif_of=motif_of,
        impulse=numbers_of("impulse"),
        partner=effects(codes, "partners"),
        season=np.array([[float(month + 1 in product.season) for product in chosen] for month in range(12)]),
        term=np.array([product.term or 0 for product in chosen], dtype=np.int64),
    )


def _spending(
    settings: Settings,
    process: ProcessSettings,
    leaf: dict[int, int],
    preference: np.ndarray,
    trigger: np.ndarray,
) -> SpendingLaw:
    tables = preference.reshape(-1, preference.shape[-1])
    share, other = _alias_tables(tables)
    months = list(settings.dataset.raw_months)
    personas = list(process.personas.values())
    amounts = {leaf[c.mcc]: process.spending[c.l2] for c in settings.merchant_categories}
    hours = np.zeros((len(personas), 25))
    for row, persona in enumerate(personas):
        density = np.zeros(24)
        for part, total in zip(DAY_PARTS, persona.hours, strict=True):
            density[list(part)] = total / len(part)
        hours[row, 1:] = np.cumsum(density) / density.sum()
    days = np.zeros((len(months), len(personas), len(process.paydays), 32))
    for index, month in enumerate(months):
        weekday, length = calendar.monthrange(month.ordinal // 12, month.ordinal % 12 + 1)
        number = np.arange(length)
        for row, persona in enumerate(personas):
            week = np.array(WEEKDAY_ACTIVITY) * np.array([1.0] * 5 + [persona.weekend] * 2)
            for column, payday in enumerate(process.paydays):
                since = np.mod(number - (payday - 1), length)
                density = week[(weekday + number) % 7] * (1 + PAYDAY_ACTIVITY * np.exp(-since / PAYDAY_FADES))
                days[index, row, column, 1 : length + 1] = np.cumsum(density) / density.sum()
                days[index, row, column, length + 1 :] = 1.0
    lengths = np.array([calendar.monthrange(m.ordinal // 12, m.ordinal % 12 + 1)[1] for m in months])
    return SpendingLaw(
        preference=tables,
        alias_share=share,
        alias_other=other,
        follows=_followers(settings, process, leaf),
        successor=np.array(SUCCESSOR_WEIGHTS),
        favourite=np.array(FAVOURITE_WEIGHTS),
        sticky=np.array([p.sticky for p in personas]),
        rate=np.array([p.transactions for p in personas]),
        activity=np.array([1.0, *(e.activity for e in process.episodes.values())]),
        expected=tables @ trigger,
        day_cdf=days,
        hour_cdf=hours,
        season=np.array([MONTH_ACTIVITY[m.ordinal % 12] for m in months]) * lengths / 30.4,
        month_start=np.array([m.start_us for m in months], dtype=np.int64),
        amount=np.log([amounts[index].amount for index in range(len(leaf))]),
        spread=np.array([amounts[index].spread for index in range(len(leaf))]),
        bill_leaf=np.array([leaf[bill.mcc] for bill in process.bills], dtype=np.int64),
        amount_unit=process.amount_unit,
        merchants=generator_of(settings).merchants_per_mcc,
    )


def _followers(settings: Settings, process: ProcessSettings, leaf: dict[int, int]) -> np.ndarray:
    """Return three successors of each leaf: those of the settings, else its nearest L1 siblings, else itself."""
    order = settings.merchant_categories
    chosen = np.zeros((len(leaf), 3), np.int64)
    for category in order:
        siblings = [c.mcc for c in order if c.l1 == category.l1 and c.mcc != category.mcc]
        siblings.sort(key=lambda code: (abs(leaf[code] - leaf[category.mcc]), code))
        named = list(process.follows.get(category.mcc, ())) or siblings
        chosen[leaf[category.mcc]] = [leaf[code] for code in [*named, *[category.mcc] * 3][:3]]
    return chosen


def _alias_tables(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Walker's alias tables (Vose's construction) of each row of probabilities."""
    share, other = np.ones_like(tables), np.tile(np.arange(tables.shape[1]), (len(tables), 1))
    for row, probabilities in enumerate(tables):
        scaled = probabilities * tables.shape[1]
        small = [i for i, value in enumerate(scaled) if value < 1.0]
        large = [i for i, value in enumerate(scaled) if value >= 1.0]
        while small and large:
            low, high = small.pop(), large.pop()
            share[row, low], other[row, low] = scaled[low], high
            scaled[high] -= 1.0 - scaled[low]
            (small if scaled[high] < 1.0 else large).append(high)
    return share, other
