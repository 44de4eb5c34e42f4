"""Facts about a source that only its data tell: what to declare before a data set is run, as settings to paste.

The settings stay the one declaration: nothing here decides anything while a data set runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from finai_assets.asset_graph import TRANSACTIONS, table_name
from finai_assets.ingest.adapter import Adapter
from finai_assets.ingest.holdings import multi_hot
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_resources.months import Month

_DAY_US = 86_400_000_000
_PARTS = ("age", "income", "tenure_months", "is_active", "gender", "segment", "country", "channel")


@dataclass
class _Seen:
    """What the months read so far hold."""

    values: dict[str, set[Any]] = field(default_factory=lambda: {name: set() for name in _PARTS})
    held: np.ndarray | None = None  # bool [products]: in a train month
    acquired: np.ndarray | None = None  # bool [products]: by a train month
    closed: bool = False
    timed: bool = False  # a transaction that is not at midnight
    merchants: bool = False
    codes: set[int] = field(default_factory=set)
    spent: set[int] = field(default_factory=set)  # codes of transactions that take money from the account
    before: tuple[np.ndarray, np.ndarray] | None = None  # customers and holdings of the month before


def measure_facts(adapter: Adapter, settings: Settings) -> dict[str, Any]:
    """Read the train months with their look-back, and return what has to be declared of them beside what the settings say.

    Returns
    -------
    dict
        In the shape of a data set's file: ``dataset.lacks``, ``dataset.never_held``, ``dataset.never_acquired`` and
        ``dataset.unavailable_columns``, each with the reasons, and figures of feature groups that the data are too small for.
        Empty where everything is declared.

    Raises
    ------
    ContractError
        The adapter refuses a month.
    """
    train, absent = set(settings.dataset.splits.train), settings.dataset.unavailable_tables
    seen, products = _Seen(), len(settings.products)
    seen.held, seen.acquired = np.zeros(products, np.bool_), np.zeros(products, np.bool_)
    for month in sorted({past for each in train for past in look_back(each, settings)}):
        streams = adapter.month(month)
        snapshots = _whole(streams.snapshots)
        _see_holdings(seen, snapshots, products, in_train=month in train)
        if month in train:
            for name in _PARTS:
                seen.values[name] |= set(pc.unique(snapshots[name]).to_pylist()[:3])
        if table_name(TRANSACTIONS) not in absent:
            for piece in streams.transactions or ():
                _see_transactions(seen, piece.table, month)
    return _to_declare(seen, adapter, settings)


def as_yaml(facts: dict[str, Any]) -> str:
    """Return facts as the lines of a data set's file."""
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=130) if facts else ""


def _whole(pieces: Any) -> pa.Table:
    return pa.concat_tables([piece.table for piece in pieces])


def _see_holdings(seen: _Seen, snapshots: pa.Table, products: int, *, in_train: bool) -> None:
    ids = snapshots["customer_id"].to_numpy()
    held = multi_hot(snapshots["held"], products, where="held").astype(np.bool_)
    assert seen.held is not None and seen.acquired is not None  # noqa: S101, PT018 - the caller has made them
    if in_train:
        seen.held |= held.any(axis=0)
    if seen.before is not None:
        _, now, then = np.intersect1d(ids, seen.before[0], assume_unique=True, return_indices=True)
        old = seen.before[1][then]
        seen.acquired |= (held[now] & ~old).any(axis=0)
        seen.closed |= bool((old & ~held[now]).any()) or len(now) < len(seen.before[0])
    seen.before = ids, held


def _see_transactions(seen: _Seen, table: pa.Table, month: Month) -> None:
    if not table.num_rows:
        return
    seen.timed = seen.timed or bool((table["ts"].cast(pa.int64()).to_numpy() % _DAY_US).any())
    seen.merchants = seen.merchants or table["merchant_id"].null_count < table.num_rows
    codes, amounts = table["mcc"].to_numpy(), table["amount"].to_numpy()
    seen.codes |= set(np.unique(codes).tolist())
    seen.spent |= set(np.unique(codes[amounts < 0]).tolist())


def _to_declare(seen: _Seen, adapter: Adapter, settings: Settings) -> dict[str, Any]:
    dataset, absent = settings.dataset, settings.dataset.unavailable_tables
    with_products, with_lines = "products" not in absent, table_name(TRANSACTIONS) not in absent
    span = f"{dataset.splits.train.first}..{dataset.splits.train.last}"
    lacks = {name: f"the same in every row of the train months {span}" for name in _PARTS if len(seen.values[name]) < 2}
    if with_products and not seen.closed:
        lacks["closures"] = f"no product ends by {dataset.splits.train.last}"
    if with_lines and not seen.timed:
        lacks["time_of_day"] = "transactions are dated by the day, without a time"
    if with_lines and not seen.merchants:
        lacks["merchants"] = "no transaction names a merchant"
    assert seen.held is not None and seen.acquired is not None  # noqa: S101, PT018 - made before any month is read
    codes = [product.code for product in settings.products]
    never_held = [code for code, held in zip(codes, seen.held, strict=True) if not held]
    never_acquired = [
        code for code, held, taken in zip(codes, seen.held, seen.acquired, strict=True) if held and not taken
    ]
    if with_products and not seen.acquired.any():
        lacks["acquisitions"], never_acquired = (
            f"no customer comes to hold a product by {dataset.splits.train.last}",
            [],
        )
    found: dict[str, Any] = {
        "lacks": {name: why for name, why in lacks.items() if name not in dataset.lacks},
        "never_held": dict.fromkeys(never_held, f"no customer holds it in {span}") if with_products else {},
        "never_acquired": dict.fromkeys(never_acquired, f"no customer comes to hold it by {dataset.splits.train.last}")
        if with_products
        else {},
        "unavailable_columns": _of_categories(seen, adapter, settings, span) if with_lines else {},
    }
    declared = {name: getattr(dataset, name) for name in found}
    kept = {
        name: {key: why for key, why in entries.items() if not _is_declared(key, declared[name])}
        for name, entries in found.items()
    }
    kept = {name: entries for name, entries in kept.items() if entries}
    return {"dataset": kept} if kept else {}


def _of_categories(seen: _Seen, adapter: Adapter, settings: Settings, span: str) -> dict[str, str]:
    """Return the columns of categories of which the train months hold nothing to see."""
    found: dict[str, str] = {}
    top, used = settings.feature_groups.mcc_top30_multihot.top, len(seen.codes)
    why = f"{used} categories occur in {span}, and each of the {top} most frequent has a column of its own"
    if used <= top:
        found |= {
            f"mcc_seen_{rank:02d}": f"only {used} categories occur in {span}" for rank in range(used + 1, top + 1)
        }
        found["mcc_seen_other"] = why
    tree = adapter.merchant_categories()
    above = dict(zip(tree["mcc"].to_pylist(), tree["l1"].to_pylist(), strict=True))
    spent = {above[code] for code in seen.spent if code in above}
    for node in range(settings.feature_groups.merchant_hierarchy.l1_categories):
        if node not in spent:
            found[f"merchant_l1_share_{node}"] = f"nothing is spent in top-level category {node} in {span}"
    return found


def _is_declared(name: str, patterns: dict[str, str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
