"""The Berka tables as arrays: files of either published form read, words translated, dates and keys parsed, joins resolved.

What a product or a segment is, and everything that depends on a month, is ``berka``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.ingest.berka_codes import (
    CARD_PRODUCT,
    CATEGORY_CODE,
    OPERATION,
    STATEMENT_PRODUCT,
    SYMBOL,
    TYPE_SIGN,
)
from finai_assets.ingest.contract import OTHER_MCC
from finai_assets.ingest.files import find_file, parse_numbers, read_file, refuse_rows
from finai_assets.ingest.pseudonym import pseudonymise

COLUMNS: dict[str, tuple[str, ...]] = {
    "account": ("account_id", "frequency", "date"),
    "client": ("client_id", "birth_number", "district_id"),
    "disp": ("disp_id", "client_id", "account_id", "type"),
    "card": ("disp_id", "type", "issued"),
    "loan": ("account_id", "date", "duration"),
    "district": ("A1", "A3"),
    "trans": ("account_id", "date", "type", "operation", "amount", "k_symbol"),
}
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class BerkaSource:
    """Accounts that have transactions, ascending by customer, and their dated events.

    Days count from 1970-01-01, months from year 0. ``customer``, ``opened``, ``statement``, ``birth_day`` and ``first_day`` are
    [accounts]; ``gender`` and ``region`` are text or None. Events point at an account by its position and are sorted by
    position, day, and order in the source.

    Parameters
    ----------
    customer : int64
        Pseudonyms, ascending.
    statement : object
        Product code of the account's statement cycle.
    birth_ymd : int64 [accounts, 3]
        Year, month, day of the owner's birth; zeros where unknown.
    loan_at, loan_month, loan_duration : int64 [loans]
        Account position, month of granting, months to run.
    card_at, card_month : int64 [cards]; card_product : object [cards]
    trans_at, day, category : int64 [transactions]; amount : float64 [transactions]
        Signed as the account sees it.
    """

    customer: np.ndarray
    opened: np.ndarray
    statement: np.ndarray
    birth_ymd: np.ndarray
    gender: np.ndarray
    region: np.ndarray
    loan_at: np.ndarray
    loan_month: np.ndarray
    loan_duration: np.ndarray
    card_at: np.ndarray
    card_month: np.ndarray
    card_product: np.ndarray
    trans_at: np.ndarray
    day: np.ndarray
    category: np.ndarray
    amount: np.ndarray


class _Table:
    """One source table: its columns, parsed on demand with errors that name file and column."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = find_file(folder, name)
        self.source = str(self.path)
        self.data = read_file(self.path, COLUMNS[name])

    def __len__(self) -> int:
        return self.data.num_rows

    def keys(self, name: str) -> np.ndarray:
        """Return identifiers as int64; a letter and zeros before the number (``A0000002378``) are dropped."""
        column = self.data[name].cast(pa.string())
        column = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), "^[A-Z]0*", "")
        return self._numbers(column, name, pa.int64())

    def integers(self, name: str) -> np.ndarray:
        """Return a column of whole numbers."""
        return self._numbers(self.data[name], name, pa.int64())

    def amounts(self, name: str) -> np.ndarray:
        """Return a column of finite numbers."""
        values = self._numbers(self.data[name], name, pa.float64())
        self.refuse(name, ~np.isfinite(values), "amount is not finite", "correct the amount at the source")
        return values

    def _numbers(self, column: pa.ChunkedArray, name: str, kind: pa.DataType) -> np.ndarray:
        parsed = parse_numbers(column, kind, source=self.source, name=name)
        absent = pc.is_null(parsed).to_numpy()
        self.refuse(name, absent, "null in a required column", "deliver the value, or leave the row out")
        return np.asarray(parsed.to_numpy())

    def words(self, name: str) -> tuple[np.ndarray, list[str]]:
        """Return positions into the distinct words of a column, and the words; null and blank are one empty word."""
        text = pc.utf8_trim_whitespace(pc.fill_null(self.data[name].cast(pa.string()), ""))
        encoded = text.combine_chunks().dictionary_encode()
        return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()

    def translated(self, name: str, meaning: Mapping[str, object], *, required: bool) -> np.ndarray:
        """Return an object array of the words' meanings; an unknown word is refused, or None where not ``required``."""
        at, words = self.words(name)
        if required:
            strange = np.isin(at, [i for i, word in enumerate(words) if word not in meaning])
            fix = f"known words: {', '.join(str(word) for word in meaning)}"
            self.refuse(name, strange, "unknown word", fix)
        return np.array([meaning.get(word) for word in words] or [None], dtype=object)[at]

    def dates(self, name: str) -> np.ndarray:
        """Return days since 1970 of ``yymmdd``, ``yyyy-mm-dd`` or ``yymmdd 00:00:00``."""
        return self.days_of(self.ymd(name), name)

    def ymd(self, name: str) -> np.ndarray:
        """Return year, month and day as written, int64 [n, 3]; two digits of a year belong to the 1900s."""
        column = self.data[name]
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        if pa.types.is_integer(column.type):
            text = pc.utf8_lpad(text, 6, "0")
        parts = pc.extract_regex(text, r"^(?P<y>\d{4}|\d{2})-?(?P<m>\d{2})-?(?P<d>\d{2})(?:[ T]00:00:00)?$")
        self.refuse(name, pc.is_null(parts).to_numpy(), "not a date", "write dates as yymmdd or yyyy-mm-dd")
        year, month, day = (pc.struct_field(parts, key).cast(pa.int64()).to_numpy() for key in "ymd")
        return np.column_stack([np.where(year < 100, year + 1900, year), month, day])

    def days_of(self, ymd: np.ndarray, name: str) -> np.ndarray:
        """Return days since 1970; days that are not in the calendar are refused."""
        year, month, day = ymd.T
        months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
        first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        broken = (month < 1) | (month > 12) | (day < 1) | (day > after - first)
        self.refuse(name, broken, "not a day of the calendar", "correct the date at the source")
        return np.asarray(first + day - 1)

    def unique(self, name: str, keys: np.ndarray) -> None:
        """Refuse keys that occur more than once."""
        first = np.zeros(len(keys), dtype=bool)
        first[np.unique(keys, return_index=True)[1]] = True
        self.refuse(name, ~first, "duplicate key", "deliver each key once")

    def refuse(self, name: str, broken: np.ndarray, rule: str, fix: str) -> None:
        """Refuse rows of a column."""
        refuse_rows(broken, self.data[name], source=self.source, name=name, rule=rule, fix=fix)


def month_of(days: np.ndarray) -> np.ndarray:
    """Return months since year 0 of days since 1970."""
    return np.asarray(days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) + 1970 * 12)


def locate(keys: np.ndarray, sorted_keys: np.ndarray) -> np.ndarray:
    """Return the position of each key among ascending keys, -1 where it is not there."""
    if not len(sorted_keys):
        return np.full(len(keys), UNKNOWN)
    at = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(np.where(sorted_keys[at] == keys, at, UNKNOWN))


def read_source(folder: Path, key: bytes, *, unknown_category: str) -> BerkaSource:
    """Read the seven tables.

    Parameters
    ----------
    key : bytes
        Pseudonym key; the account's number is the customer's identifier.
    unknown_category : {"error", "other"}
        What to do with a pair of operation and purpose that ``berka_codes`` does not list.

    Raises
    ------
    ContractError
        A file, column or value differs from the published tables.
    """
    account, trans = _Table(folder, "account"), _Table(folder, "trans")
    numbers = account.keys("account_id")
    account.unique("account_id", numbers)
    opened = account.dates("date")
    statement = account.translated("frequency", STATEMENT_PRODUCT, required=True)

    owner = trans.keys("account_id")
    active = np.unique(owner)
    fix = "deliver the account table that belongs to these transactions"
    trans.refuse("account_id", locate(owner, np.sort(numbers)) == UNKNOWN, "transaction of an unknown account", fix)
    tokens = pseudonymise((str(number) for number in active.tolist()), key)
    order = np.argsort(tokens)
    place = np.empty(len(order), dtype=np.int64)  # position of the account with the i-th smallest number
    place[order] = np.arange(len(order))
    rows = np.argsort(numbers)[locate(active[order], np.sort(numbers))]

    at = place[locate(owner, active)]
    day = trans.dates("date")
    sign = trans.translated("type", TYPE_SIGN, required=True).astype(np.float64)
    amount = trans.amounts("amount") * sign
    category = _categories(trans, unknown_category)
    sequence = np.lexsort((np.arange(len(at)), day, at))

    def position(numbers_of: np.ndarray) -> np.ndarray:
        found = locate(numbers_of, active)
        return np.where(found == UNKNOWN, UNKNOWN, place[found])

    birth, gender, region, owner_of = _owners(folder, position, len(active))
    loan_at, loan_month, loan_duration = _loans(folder, position)
    card_at, card_month, card_product = _cards(folder, owner_of)
    return BerkaSource(
        customer=tokens[order], opened=opened[rows], statement=statement[rows], birth_ymd=birth, gender=gender, region=region,
        loan_at=loan_at, loan_month=loan_month, loan_duration=loan_duration,
        card_at=card_at, card_month=card_month, card_product=card_product,
        trans_at=at[sequence], day=day[sequence], category=category[sequence], amount=amount[sequence],
    )  # fmt: skip


def _categories(trans: _Table, unknown: str) -> np.ndarray:
    """Return the code of each transaction's pair of operation and purpose."""
    operation, operations = trans.words("operation")
    symbol, symbols = trans.words("k_symbol")
    codes = np.array(
        [[CATEGORY_CODE.get((OPERATION.get(a, a), SYMBOL.get(b, b)), UNKNOWN) for b in symbols] for a in operations],
        dtype=np.int64,
    ).reshape(len(operations), len(symbols))
    found = codes[operation, symbol]
    if unknown == "other":
        return np.where(found == UNKNOWN, OTHER_MCC, found)
    fix = "add the pair to finai_assets/ingest/berka_codes.py, or set dataset.unknown_mcc: other"
    trans.refuse("operation", found == UNKNOWN, "unknown MCC: no category for this operation with its k_symbol", fix)
    return found


Positions = Callable[[np.ndarray], np.ndarray]


def _owners(folder: Path, position: Positions, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return birth [count, 3], gender and region of each account's owner, and disposition -> account as [n, 2]."""
    client, disp, district = _Table(folder, "client"), _Table(folder, "disp"), _Table(folder, "district")
    clients = client.keys("client_id")
    client.unique("client_id", clients)
    born = client.ymd("birth_number")
    woman = born[:, 1] > 50  # the Czech birth number marks women by month + 50
    born[:, 1] -= 50 * woman
    client.days_of(born, "birth_number")
    regions = dict(zip(district.keys("A1").tolist(), district.data["A3"].to_pylist(), strict=True))
    home = np.array([regions.get(number) for number in client.keys("district_id").tolist()], dtype=object)

    role, roles = disp.words("type")
    at = position(disp.keys("account_id"))
    owns = np.isin(role, [i for i, word in enumerate(roles) if word == "OWNER"]) & (at != UNKNOWN)
    seen = np.zeros(len(at), dtype=bool)
    seen[np.flatnonzero(owns)[np.unique(at[owns], return_index=True)[1]]] = True
    disp.refuse("account_id", owns & ~seen, "account with more than one OWNER", "deliver one OWNER for each account")
    by_number = np.argsort(clients)
    who = locate(disp.keys("client_id"), clients[by_number])
    disp.refuse(
        "client_id", owns & (who == UNKNOWN), "disposition of an unknown client", "deliver the client table too"
    )

    birth = np.zeros((count, 3), dtype=np.int64)
    gender, region = np.full(count, None, dtype=object), np.full(count, None, dtype=object)
    person = by_number[who[owns]]
    birth[at[owns]] = born[person]
    gender[at[owns]] = np.where(woman[person], "female", "male")
    region[at[owns]] = home[person]
    return birth, gender, region, np.column_stack([disp.keys("disp_id"), at])


def _loans(folder: Path, position: Positions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return account position, month and duration of the loans of accounts that have transactions."""
    loan = _Table(folder, "loan")
    numbers = loan.keys("account_id")
    loan.unique("account_id", numbers)
    at = position(numbers)
    known = at != UNKNOWN
    return at[known], month_of(loan.dates("date"))[known], loan.integers("duration")[known]


def _cards(folder: Path, dispositions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return account position, month and product of the cards of accounts that have transactions."""
    card = _Table(folder, "card")
    order = np.argsort(dispositions[:, 0])
    found = locate(card.keys("disp_id"), dispositions[order, 0])
    card.refuse("disp_id", found == UNKNOWN, "card of an unknown disposition", "deliver the disp table too")
    at = dispositions[order[found], 1]
    product = card.translated("type", CARD_PRODUCT, required=True)
    known = at != UNKNOWN
    return at[known], month_of(card.dates("issued"))[known], product[known]
