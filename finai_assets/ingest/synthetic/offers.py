"""What lawful offering needs to know of a block's customers: risk profiles, consents, messages and asset bands.

It lives beside the process and never acts on it: it reads the record, draws from streams of its own, and nothing reads it back,
so that snapshots, transactions and truths are the same with and without it. A month is drawn from what was so at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import ndtr

from finai_assets.asset_graph import SOURCE_ASSET_BANDS, SOURCE_CONSENTS, SOURCE_CONTACTS, SOURCE_RISK_PROFILES
from finai_assets.ingest.contract import (
    ASSET_BANDS,
    AUTOMATED_DECISION,
    CONSENTS,
    CONTACTS,
    DO_NOT_CONTACT,
    MARKETING,
    RISK_PROFILES,
)
from finai_assets.ingest.synthetic.compile import generator_of
from finai_assets.ingest.synthetic.population import Population
from finai_assets.ingest.synthetic.record import STATE, Record
from finai_assets.settings import Settings
from finai_assets.settings.generator import OfferProcess
from finai_resources.months import Month
from serving_lambda.standing import CHANNELS, SAFEST

# The kinds of consent in the order of the contract: by purpose, then channel.
KINDS = (
    (AUTOMATED_DECISION, None),
    (DO_NOT_CONTACT, None),
    *((MARKETING, channel) for channel in sorted(CHANNELS)),
)
_OBJECTS, _MARKETING = 1, slice(2, len(KINDS))
# Correlation of each kind with how readily a customer signs on joining: one form asks for all, and who objects signs little.
AGREEMENT = np.array([0.8, -0.8, *[0.8] * len(CHANNELS)])
_NEVER = np.iinfo(np.int64).min  # of a day: it has not been
_OLDEST_MONTHS = 48  # before the panel; older assessments have long expired and been forgotten
_HOUR_US, _DAY_US = 3_600_000_000, 86_400_000_000
_WEALTH, _RISK = STATE.index("wealth"), STATE.index("risk")
Tables = dict[tuple[str, str], pa.Table]
Sums = dict[str, np.ndarray]


class Days(NamedTuple):
    """The days of a month, counted from 1970-01-01, the last left out; and its position in the record."""

    position: int
    first: int
    end: int
    key: str

    @classmethod
    def of(cls, month: Month, position: int) -> Days:
        """Return the days of a month."""
        return cls(position, month.start_us // _DAY_US, month.cutoff_us // _DAY_US, month.key)

    def draw(self, rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
        """Return days of the month, int64."""
        return rng.integers(self.first, self.end, shape)


@dataclass(frozen=True, slots=True)
class Block:
    """The customers of a block with all that offering is drawn from.

    ``invests`` bool [n, months] tells who holds an investment, ``persona`` float [personas] how readily each consents.
    """

    tokens: np.ndarray
    people: Population
    record: Record
    invests: np.ndarray
    persona: np.ndarray
    process: OfferProcess


def offer_tables(
    rng: np.random.Generator, tokens: np.ndarray, people: Population, record: Record, settings: Settings
) -> tuple[Tables, Sums]:
    """Return a block's rows of the four tables by (asset, month), and the additive figures of the report.

    Parameters
    ----------
    rng : Generator
        Each table draws from a child of it.
    tokens : int64 [n]
        Ascending.
    record : Record [n, months]
    """
    process = generator_of(settings).process.offers
    investments = [product.product_class == "investment" for product in settings.products]
    persona = np.array([process.personas.get(name, 0.0) for name in generator_of(settings).process.personas])
    invests = np.asarray(record.held[:, :, investments].any(axis=2))
    block = Block(tokens, people, record, invests, persona, process)
    months = [Days.of(month, position) for position, month in enumerate(settings.dataset.raw_months)]
    profiles, consents, contacts = (_Profiles(block), _Consents(block), _Contacts(block))
    streams = rng.spawn(3)
    tables: Tables = {}
    sums = {name: np.array(0) for name in ("profiles_valid", "marketing_consents", "objections", "messages")}
    for days in months:
        present = record.present[:, days.position]
        profiles.live(streams[0], days)
        reachable = consents.live(streams[1], days)
        sent = contacts.of(streams[2], days, reachable & present[:, None])
        tables[SOURCE_RISK_PROFILES, days.key] = profiles.table(present)
        tables[SOURCE_CONSENTS, days.key] = consents.table(present)
        tables[SOURCE_CONTACTS, days.key] = sent
        tables[SOURCE_ASSET_BANDS, days.key] = _bands(block, days, settings.dataset.asset_bands)
        standing = consents.standing[present]
        sums["profiles_valid"] += (profiles.expires[present] >= days.end).sum()
        sums["marketing_consents"] += standing[:, _MARKETING].any(axis=1).sum()
        sums["objections"] += standing[:, _OBJECTS].sum()
        sums["messages"] += len(sent)
    return tables, sums


def _bands(block: Block, days: Days, names: tuple[str, ...]) -> pa.Table:
    rows = np.flatnonzero(block.record.present[:, days.position])
    band = np.searchsorted(block.process.band_bounds, block.record.state[rows, days.position, _WEALTH], side="right")
    return pa.table(
        [pa.array(block.tokens[rows]), pa.array(names, pa.string()).take(pa.array(band))], schema=ASSET_BANDS
    )


def _months_later(day: np.ndarray, months: int) -> np.ndarray:
    """Return the same day of the month some months later; the days that a shorter month lacks fall into the next."""
    date = day.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    later: np.ndarray = (month + months).astype("datetime64[D]").astype(np.int64) + (
        date - month.astype("datetime64[D]")
    ).astype(np.int64)
    return later


class _Profiles:
    """The last assessment of each customer: day, day on which it no longer counts, grade."""

    def __init__(self, block: Block) -> None:
        number = len(block.tokens)
        self.block = block
        self.assessed = np.full(number, _NEVER)
        self.expires = np.full(number, _NEVER)
        self.grade = np.zeros(number, np.int64)
        self.refuses = np.zeros(number, np.bool_)

    def live(self, rng: np.random.Generator, days: Days) -> None:
        """Let a month pass."""
        of, number = self.block.process.risk_profile, len(self.assessed)
        if days.position == 0:
            self.refuses = rng.random(number) < of.never
            self._before(rng, days)
        valid, never = self.expires >= days.end, self.assessed == _NEVER
        hazard = np.where(never, of.first, np.where(valid, of.renewed, of.expired))
        invests = self.block.invests[:, days.position]
        hazard = np.where(invests, np.minimum(1.0, of.investor * hazard), np.where(self.refuses, 0.0, hazard))
        joined = self.block.people.join <= days.position
        self._assess(rng, days, joined & (rng.random(number) < hazard), days.draw(rng, number))

    def _before(self, rng: np.random.Generator, days: Days) -> None:
        """Assess customers in the years before the panel, by what they were like at its start."""
        number = len(self.assessed)
        ago = rng.integers(1, np.clip(-self.block.people.join, 1, _OLDEST_MONTHS) * 30, number)
        joined = self.block.people.join < 0
        assessed = joined & ~self.refuses & (rng.random(number) < self.block.process.risk_profile.before)
        self._assess(rng, days, assessed, days.first - ago)

    def _assess(self, rng: np.random.Generator, days: Days, chosen: np.ndarray, day: np.ndarray) -> None:
        of, state = self.block.process.risk_profile, self.block.record.state[:, days.position].astype(np.float64)
        score = of.risk * state[:, _RISK] + of.wealth * state[:, _WEALTH] + of.noise * rng.standard_normal(len(day))
        self.grade = np.where(chosen, SAFEST - np.searchsorted(of.bounds, score, side="right"), self.grade)
        self.assessed = np.where(chosen, day, self.assessed)
        self.expires = np.where(chosen, _months_later(day, of.valid_months), self.expires)

    def table(self, present: np.ndarray) -> pa.Table:
        """Return the rows of the customers who have a snapshot and were ever assessed."""
        rows = np.flatnonzero(present & (self.assessed != _NEVER))
        arrays = [
            pa.array(self.block.tokens[rows]),
            pa.array(self.grade[rows].astype(np.int8)),
            _dates(self.assessed[rows]),
            _dates(self.expires[rows]),
        ]
        return pa.Table.from_arrays(arrays, schema=RISK_PROFILES)


class _Consents:
    """Days on which each customer gave and withdrew each kind of consent, int64 [n, kinds]."""

    def __init__(self, block: Block) -> None:
        shape = (len(block.tokens), len(KINDS))
        self.block = block
        self.given, self.withdrawn = np.full(shape, _NEVER), np.full(shape, _NEVER)
        of = block.process
        self.of = [
            of.automated_decision,
            of.do_not_contact,
            *(of.marketing[channel] for channel in sorted(of.marketing)),
        ]

    @property
    def standing(self) -> np.ndarray:
        """Return the consents that stand, bool [n, kinds]."""
        return (self.given != _NEVER) & (self.withdrawn == _NEVER)

    def live(self, rng: np.random.Generator, days: Days) -> np.ndarray:
        """Let a month pass; return the channels in which each customer could be reached in all of it, bool [n, channels]."""
        people, shape = self.block.people, self.given.shape
        if days.position == 0:
            self._join(rng, days, people.join < 0)
        before = self.standing
        moves, day = rng.random(shape), days.draw(rng, shape)
        withdraws = before & (moves < [of.withdrawn for of in self.of])
        gives = ~before & (moves < [of.given for of in self.of]) & (people.join < days.position)[:, None]
        old = (
            before
            & ~withdraws
            & (self.given < _months_later(np.array(days.first), -self.block.process.confirmed_months))
        )
        self.withdrawn = np.where(withdraws, day, np.where(gives, _NEVER, self.withdrawn))
        self.given = np.where(gives | old, day, self.given)
        if days.position:
            self._join(rng, days, people.join == days.position)
        after = self.standing
        objects = before[:, _OBJECTS] | after[:, _OBJECTS]
        reachable: np.ndarray = before[:, _MARKETING] & after[:, _MARKETING] & ~objects[:, None]
        return reachable

    def _join(self, rng: np.random.Generator, days: Days, joins: np.ndarray) -> None:
        """Draw what customers consent to on joining: in this month, or before the panel, then as confirmed since."""
        people, shape = self.block.people, self.given.shape
        share = np.array([of.joining for of in self.of])
        logit = np.tile(np.log(share / (1.0 - share)), (len(joins), 1))
        decades = (people.age_months + days.position) / 120.0 - 4.5
        logit += np.outer(decades, [of.age for of in self.of])
        logit[:, _MARKETING] += self.block.persona[people.persona][:, None]
        own, shared = rng.standard_normal(shape), rng.standard_normal(len(joins))
        willing = ndtr(np.outer(shared, AGREEMENT) + np.sqrt(1.0 - AGREEMENT**2) * own)
        given = willing < 1.0 / (1.0 + np.exp(-logit))
        months = np.clip(-people.join, 1, self.block.process.confirmed_months)[:, None]
        ago = np.ceil(rng.random(shape) * months * 30).astype(np.int64)
        day = np.where((people.join < 0)[:, None], days.first - ago, days.draw(rng, shape))
        self.given = np.where(given & joins[:, None], day, self.given)

    def table(self, present: np.ndarray) -> pa.Table:
        """Return the rows of the customers who have a snapshot, by customer and kind."""
        rows, kind = np.nonzero((self.given != _NEVER) & present[:, None])
        names = [pa.array([kinds[part] for kinds in KINDS], pa.string()) for part in (0, 1)]
        withdrawn = self.withdrawn[rows, kind]
        arrays = [
            pa.array(self.block.tokens[rows]),
            names[0].take(pa.array(kind)),
            names[1].take(pa.array(kind)),
            _dates(self.given[rows, kind]),
            _dates(withdrawn),
        ]
        return pa.Table.from_arrays(arrays, schema=CONSENTS)


class _Contacts:
    """The messages that customers are sent."""

    def __init__(self, block: Block) -> None:
        self.block = block
        monthly = block.process.contacts.monthly
        self.mean = np.array([monthly[channel] for channel in sorted(monthly)])

    def of(self, rng: np.random.Generator, days: Days, reachable: np.ndarray) -> pa.Table:
        """Return the month's messages to customers who can be reached, bool [n, channels], by customer and time."""
        contacts, record = self.block.process.contacts, self.block.record
        number = np.where(reachable, rng.poisson(self.mean, reachable.shape), 0)
        rows, channel = (np.repeat(at, number[number > 0]) for at in np.nonzero(number))
        first, last = contacts.hours
        time = rng.integers(first * _HOUR_US, last * _HOUR_US, len(rows))
        ts = days.draw(rng, len(rows)) * _DAY_US + time
        weight = np.where(record.held[rows, days.position] > 0, contacts.held, 1.0)
        reach = np.cumsum(weight, axis=1)
        product = (rng.random((len(rows), 1)) * reach[:, -1:] >= reach).sum(axis=1)
        of_product = rng.random(len(rows)) < contacts.of_product
        order = np.lexsort((ts, rows))
        arrays = [
            pa.array(self.block.tokens[rows[order]]),
            pa.array(ts[order], pa.timestamp("us")),
            pa.array(sorted(CHANNELS), pa.string()).take(pa.array(channel[order])),
            pa.array(product[order].astype(np.int16), mask=~of_product[order]),
        ]
        return pa.Table.from_arrays(arrays, schema=CONTACTS)


def _dates(day: np.ndarray) -> pa.Array:
    known = day != _NEVER
    return pa.array(np.where(known, day, 0).astype(np.int32), pa.int32(), mask=~known).cast(pa.date32())
