"""What lawful offering knows of many customers, each as of the cutoff of a month: the day on which the list is decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import ASSET_BANDS, CONSENTS, CONTACTS, RISK_PROFILES, table_name
from finai_assets.evaluation.lists.outcomes import match_customers
from finai_assets.settings import Settings
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from serving_lambda.offering import Occasion, Offering
from serving_lambda.standing import CHANNELS, Standing

UNKNOWN_GRADE, UNKNOWN_BAND, UNKNOWN_COUNT = 0, -1, -1
_MARKETING, _AUTOMATED, _OBJECTION = "marketing", "automated_decision", "do_not_contact"


@dataclass(frozen=True)
class Standings:
    """The standing of n customers, and the day of the decision about each.

    Parameters
    ----------
    day : datetime64[D] [n]
    grade : int8 [n]
        :data:`UNKNOWN_GRADE` without a risk profile.
    expires : datetime64[D] [n]
        Of the profile; NaT without one.
    band : int8 [n]
        Rank of the asset band among the bundle's, :data:`UNKNOWN_BAND` where unknown.
    marketing : bool [n, channels]
        In the order of :data:`serving_lambda.standing.CHANNELS`.
    automated, do_not_contact : bool [n]
    consents_known : bool [n]
        False where nothing is known of consents; the three before it then say nothing.
    messages : int64 [n]
        Of the last days, :data:`UNKNOWN_COUNT` where unknown.
    """

    day: np.ndarray
    grade: np.ndarray
    expires: np.ndarray
    band: np.ndarray
    marketing: np.ndarray
    automated: np.ndarray
    do_not_contact: np.ndarray
    consents_known: np.ndarray
    messages: np.ndarray

    @classmethod
    def unknown(cls, day: np.ndarray) -> Standings:
        """Return standings of which nothing is known, for decisions on these days: datetime64[D] [n]."""
        n = len(day)
        return cls(
            day,
            np.full(n, UNKNOWN_GRADE, np.int8),
            np.full(n, "NaT", "datetime64[D]"),
            np.full(n, UNKNOWN_BAND, np.int8),
            np.zeros((n, len(CHANNELS)), bool),
            np.zeros(n, bool),
            np.zeros(n, bool),
            np.zeros(n, bool),
            np.full(n, UNKNOWN_COUNT, np.int64),
        )

    def __len__(self) -> int:
        return len(self.day)

    def take(self, rows: slice | np.ndarray) -> Standings:
        """Return some of the rows, by a slice, positions or a mask."""
        return Standings(*(getattr(self, field.name)[rows] for field in fields(self)))

    def each(self, bands: Sequence[str]) -> list[Standing]:
        """Return every customer's standing as the handler knows it.

        Parameters
        ----------
        bands
            The bundle's asset bands.
        """
        profiled, banded = self.grade != UNKNOWN_GRADE, self.band != UNKNOWN_BAND
        channels = [_channels(row) for row in self.marketing.tolist()]
        expires = np.datetime_as_string(self.expires).tolist()
        rows = zip(
            self.grade.tolist(),
            expires,
            self.band.tolist(),
            channels,
            self.automated.tolist(),
            self.do_not_contact.tolist(),
            self.messages.tolist(),
            profiled.tolist(),
            banded.tolist(),
            self.consents_known.tolist(),
            strict=True,
        )
        return [
            Standing(
                grade if has_profile else None,
                expiry if has_profile else None,
                bands[band] if has_band else None,
                marketing if known else None,
                automated if known else None,
                objection if known else None,
                None if messages == UNKNOWN_COUNT else messages,
            )
            for grade, expiry, band, marketing, automated, objection, messages, has_profile, has_band, known in rows
        ]

    def occasion(self, place: int) -> Occasion:
        """Return the occasion of one decision: a stored list names no channel and knows no hour."""
        return Occasion(str(self.day[place]))


def _channels(allowed: Sequence[bool]) -> frozenset[str]:
    return frozenset(name for name, given in zip(CHANNELS, allowed, strict=True) if given)


def read_standings(
    session: LakeSession, month: np.ndarray, customer: np.ndarray, offering: Offering, settings: Settings
) -> Standings:
    """Read the standing of customers as of the cutoff of their months.

    A table that the data set does not have leaves its part unknown; a customer without a row in a table that is there has no
    profile, no known assets, no consent, or no message.

    Parameters
    ----------
    month : str [n]
    customer : int64 [n]
        In any order; each once in a month.
    offering
        The bundle's policy, which names the asset bands and the days of messages.

    Raises
    ------
    LakeError
        A month of a table is not in the lake.
    """
    found = Standings.unknown(np.array([Month.parse(key).cutoff.date() for key in month], "datetime64[D]"))
    for key in np.unique(month).tolist():
        rows = np.flatnonzero(month == key)
        _Reader(session, Month.parse(key), rows, customer[rows], offering, settings).fill(found)
    return found


def read_messages(
    session: LakeSession, month: np.ndarray, customer: np.ndarray, offering: Offering, settings: Settings
) -> np.ndarray | None:
    """Return the messages of the last days about each product, int64 [n, products]; None where the data set has no contacts.

    Parameters
    ----------
    month : str [n]
    customer : int64 [n]
        In any order; each once in a month.

    Raises
    ------
    LakeError
        A month of contacts is not in the lake.
    """
    if table_name(CONTACTS) in settings.dataset.unavailable_tables:
        return None
    found = np.zeros((len(customer), len(settings.products)), np.int64)
    for key in np.unique(month).tolist():
        rows = np.flatnonzero(month == key)
        for places, product in _Reader(session, Month.parse(key), rows, customer[rows], offering, settings).messages():
            about = ~np.isnan(product)
            np.add.at(found, (places[about], product[about].astype(np.int64)), 1)
    return found


@dataclass(frozen=True)
class _Reader:
    """Fills the rows of one month's customers, table by table."""

    session: LakeSession
    month: Month
    rows: np.ndarray
    customer: np.ndarray
    offering: Offering
    settings: Settings

    def fill(self, found: Standings) -> None:
        absent = self.settings.dataset.unavailable_tables
        for path, step in (
            (RISK_PROFILES, self._profiles),
            (ASSET_BANDS, self._bands),
            (CONSENTS, self._consents),
            (CONTACTS, self._contacts),
        ):
            if table_name(path) not in absent:
                step(found)

    def _profiles(self, found: Standings) -> None:
        table, places = self._read(RISK_PROFILES, self.month, ["grade", "expires_on"])
        found.grade[places] = table["grade"].to_numpy()
        found.expires[places] = table["expires_on"].to_numpy().astype("datetime64[D]")

    def _bands(self, found: Standings) -> None:
        table, places = self._read(ASSET_BANDS, self.month, ["band"])
        ranks = pc.fill_null(pc.index_in(table["band"], pa.array(self.offering.asset_bands, pa.string())), UNKNOWN_BAND)
        found.band[places] = ranks.to_numpy()

    def _consents(self, found: Standings) -> None:
        table, places = self._read(CONSENTS, self.month, ["purpose", "channel", "given_on", "withdrawn_on"])
        cutoff = pa.scalar(self.month.cutoff.date(), pa.date32())
        withdrawn = pc.fill_null(pc.less(table["withdrawn_on"], cutoff), False)
        stands = pc.and_(pc.less(table["given_on"], cutoff), pc.invert(withdrawn)).to_numpy()
        purpose = table["purpose"].to_numpy()
        channel = pc.fill_null(pc.index_in(table["channel"], pa.array(CHANNELS)), -1).to_numpy()
        found.consents_known[self.rows] = True
        agreed = stands & (purpose == _MARKETING) & (channel >= 0)
        found.marketing[places[agreed], channel[agreed]] = True
        found.automated[places[stands & (purpose == _AUTOMATED)]] = True
        found.do_not_contact[places[stands & (purpose == _OBJECTION)]] = True

    def _contacts(self, found: Standings) -> None:
        found.messages[self.rows] = 0
        for places, _ in self.messages():
            np.add.at(found.messages, places, 1)

    def messages(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the places of who got each message of the last days, and the product it was about, NaN where about none."""
        since = self.month.cutoff_us - self.offering.message_days * 86_400_000_000
        month = self.month
        while month.cutoff_us > since and month >= self.settings.dataset.raw_months.first:
            table, places = self._read(CONTACTS, month, ["ts", "product_id"])
            late = table["ts"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() >= since
            product = table["product_id"].cast(pa.float64()).to_numpy()
            yield places[late], product[late]
            month = month - 1

    def _read(self, path: str, month: Month, columns: list[str]) -> tuple[pa.Table, np.ndarray]:
        """Return a table's rows of these customers, and the place of each among all."""
        span = int(self.customer.min()), int(self.customer.max())
        table = self.session.read_customers(path, month.key, *span, columns=["customer_id", *columns])
        at, known = match_customers(self.customer, table["customer_id"].to_numpy())
        return table.filter(pa.array(known)).combine_chunks(), self.rows[at[known]]
