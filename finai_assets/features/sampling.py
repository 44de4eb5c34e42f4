"""Seeded hashes of customers and months: samples that do not depend on order, blocks, or what else is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from finai_resources.months import Month


def splitmix64(values: np.ndarray) -> np.ndarray:
    """Return a well-mixed uint64 for each uint64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    mixed = np.asarray(values, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def customer_hash(customer: np.ndarray, *, seed: int, salt: str, month: Month | None = None) -> np.ndarray:
    """Return a uint64 for each customer (of a month), uniform and reproducible; ``salt`` separates uses."""
    text = f"{salt} {seed} {month.key if month else ''}"
    key = np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], np.uint64)
    return splitmix64(np.ascontiguousarray(customer, np.int64).view(np.uint64) ^ key)


def lowest(hashes: np.ndarray, count: int) -> int:
    """Return the greatest of the ``count`` lowest hashes: rows at or below it are the sample."""
    if len(hashes) <= count:
        return int(np.iinfo(np.uint64).max)
    return int(np.partition(hashes, count - 1)[count - 1])


def sample_customers(customer: np.ndarray, rows: slice, limit: int, seed: int) -> np.ndarray:
    """Return row numbers of ``rows``: all, or those of whole customers, drawn by a seeded hash, that fit into the limit.

    Parameters
    ----------
    customer : int64 [n]
    """
    numbers = np.arange(rows.start, rows.stop)
    if len(numbers) <= limit:
        return numbers
    ids, inverse, counts = np.unique(customer[rows], return_inverse=True, return_counts=True)
    order = np.argsort(customer_hash(ids, seed=seed, salt="whole customers"), kind="stable")
    kept = np.zeros(len(ids), dtype=bool)
    kept[order[np.cumsum(counts[order]) <= limit]] = True
    return numbers[kept[inverse]]


def rows_digest(rows: Mapping[Month, np.ndarray]) -> str:
    """Return a hash of (month, customer) rows, whatever the order of customers."""
    digest = hashlib.sha256()
    for month in sorted(rows):
        digest.update(month.key.encode())
        digest.update(np.sort(np.asarray(rows[month], np.int64)).astype("<i8").tobytes())
    return digest.hexdigest()
