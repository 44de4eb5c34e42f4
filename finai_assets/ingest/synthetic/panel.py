"""The panel, block by block into the lake: memory is bounded by the block, and bytes do not depend on the workers."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import PRODUCT_TRUTH, is_truth, truth_asset
from finai_assets.asset_graph import SOURCE_PROTECTED as PROTECTED
from finai_assets.asset_graph import SOURCE_REPORT as REPORT
from finai_assets.asset_graph import SOURCE_SNAPSHOTS as SNAPSHOTS
from finai_assets.asset_graph import SOURCE_TRANSACTIONS as TRANSACTIONS
from finai_assets.ingest.pseudonym import pseudonymise
from finai_assets.ingest.synthetic.compile import compile_law, generator_of
from finai_assets.ingest.synthetic.law import Law
from finai_assets.ingest.synthetic.offers import offer_tables
from finai_assets.ingest.synthetic.population import draw_population
from finai_assets.ingest.synthetic.process import simulate
from finai_assets.ingest.synthetic.record import Record
from finai_assets.ingest.synthetic.report import GeneratorReport, Sums, add_sums, block_sums, summarise
from finai_assets.ingest.synthetic.tables import (
    product_truth_table,
    protected_table,
    snapshot_table,
    transaction_tables,
    truth_tables,
)
from finai_assets.ingest.synthetic.truth import TaskRow, TaskTruth, month_truth, task_truths
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError
from finai_resources.json_text import plain, to_json
from finai_resources.lake_session import LakeSession
from finai_resources.partition_writer import PartitionWriter
from finai_resources.progress import report_progress

ROW_GROUP = 65_536


class Purpose(IntEnum):
    """The purposes of a block's random streams: each has its own, so that one can change without the others."""

    POPULATION = 0
    STATE = 1
    PAYMENTS = 2
    MISSING = 3
    TRUTH = 4
    OFFERS = 5


@dataclass(frozen=True, slots=True)
class BlockTables:
    """A simulated block, ready to be written: (asset, month) -> rows."""

    tables: dict[tuple[str, str], pa.Table]
    squared_error: dict[tuple[str, str], float]
    sums: Sums


def customer_tokens(settings: Settings, key: bytes) -> np.ndarray:
    """Return the pseudonyms of customers 1 to N, int64 [N] ascending.

    Raises
    ------
    ContractError
        Two customers share a token.
    """
    number = generator_of(settings).customers
    return np.sort(pseudonymise((f"synthetic:{customer}" for customer in range(1, number + 1)), key))


def panel_digest(settings: Settings, key: bytes, tasks: Sequence[TaskRow]) -> str:
    """Return a short hash of all that the panel's bytes depend on: settings, tasks, and which pseudonym key was used."""
    fingerprint = pseudonymise(["synthetic:key-fingerprint"], key)[0]
    rows = [(task.name, task.kind, task.truth, task.parameters) for task in tasks]
    return hashlib.sha256(f"{settings.digest()} {fingerprint} {rows}".encode()).hexdigest()[:16]


def generate(
    settings: Settings,
    key: bytes,
    session: LakeSession,
    *,
    tasks: Sequence[TaskRow],
    workers: int,
    code_version: str,
) -> GeneratorReport:
    """Simulate the panel and write it: ``source/<table>@month``, ``source/report``, and the truths of tasks and of products.

    Parameters
    ----------
    key : bytes
        Pseudonym key.
    tasks
        Rows of the tasks whose truth is wanted; one that names no truth has none. The products' truth is always written.
    workers : int
        Blocks that are simulated at once; the bytes written are the same for any number.

    Raises
    ------
    ConfigError
        The settings lack a part that the generator needs, or name a horizon other than one month.
    ContractError
        Two customers share a pseudonym.
    """
    _require_one_month(settings)
    law, tokens, truths = compile_law(settings), customer_tokens(settings, key), task_truths(tasks)
    versions: dict[str, Any] = {"code_version": code_version, "config_hash": panel_digest(settings, key, tasks)}
    size = generator_of(settings).block_customers
    writers: dict[tuple[str, str], PartitionWriter] = {}
    errors: dict[tuple[str, str], float] = {}
    rows: dict[tuple[str, str], int] = {}
    sums: Sums = {}
    with ExitStack() as stack:

        def blocks() -> Iterator[Callable[[], BlockTables]]:
            for number, begin in enumerate(range(0, len(tokens), size)):
                block = tokens[begin : begin + size]
                yield partial(simulate_block, block, number, law, settings, truths)

        done = 0
        for result in _in_order(blocks(), workers):
            for address, table in result.tables.items():
                if address not in writers:
                    writers[address] = stack.enter_context(session.write(*address, **versions))
                writers[address].write(table, row_group_size=ROW_GROUP)
                rows[address] = rows.get(address, 0) + table.num_rows
            for address, value in result.squared_error.items():
                errors[address] = errors.get(address, 0.0) + value
            sums = add_sums(sums, result.sums)
            done = min(len(tokens), done + size)
            report_progress("customers", done, len(tokens))
        for address, writer in writers.items():
            if is_truth(address[0]):
                writer.extra.update(_method(address, errors, rows[address], generator_of(settings).truth_draws))
        report = summarise(sums, truths, settings)
        with session.write(REPORT, **versions) as out:
            out.put("report.json", to_json(plain(report.figures), indent=1, sort_keys=True))
    return report


def _require_one_month(settings: Settings) -> None:
    """Refuse a horizon for which the truths' closed forms do not hold."""
    if settings.horizon_months != 1:
        raise ConfigError(
            f"horizon_months is {settings.horizon_months}",
            where="pipeline.yaml: horizon_months",
            fix="set it to 1: the synthetic truth is that of the next month",
        )


def _method(address: tuple[str, str], errors: dict[tuple[str, str], float], rows: int, draws: int) -> dict[str, object]:
    if address not in errors:
        return {"method": "closed form"}
    return {"method": "Monte Carlo", "draws": draws, "standard_error": float(np.sqrt(errors[address] / max(1, rows)))}


def _in_order(jobs: Iterator[Callable[[], BlockTables]], workers: int) -> Iterator[BlockTables]:
    """Run jobs on threads (the kernels release the GIL) and yield their results in order, at most one more than workers ahead."""
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[BlockTables]] = deque()
        try:
            for job in jobs:
                ahead.append(pool.submit(job))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def simulate_block(
    tokens: np.ndarray, number: int, law: Law, settings: Settings, truths: Sequence[TaskTruth]
) -> BlockTables:
    """Simulate the customers of one block and bring everything into tables.

    Parameters
    ----------
    tokens : int64 [n]
        Ascending.
    number : int
        Of the block; with the seed and a purpose it decides every random draw.
    truths
        Those that are wanted.
    """
    streams = {
        purpose: np.random.default_rng(np.random.SeedSequence([settings.seed, number, int(purpose)]))
        for purpose in Purpose
    }
    dataset = settings.dataset
    months = list(dataset.raw_months)
    people, traits = draw_population(streams[Purpose.POPULATION], len(tokens), settings, law)
    record = Record.empty(len(tokens), len(months), len(settings.products))
    payments = simulate(streams[Purpose.STATE], streams[Purpose.PAYMENTS], people, law, record)
    tables: dict[tuple[str, str], pa.Table] = {}
    squared_error: dict[tuple[str, str], float] = {}
    paid = transaction_tables(streams[Purpose.MISSING], tokens, payments, len(months), settings)
    for position, month in enumerate(months):
        tables[SNAPSHOTS, month.key] = snapshot_table(position, tokens, people, traits, record, settings)
        tables[PROTECTED, month.key] = protected_table(position, tokens, people, traits, record, settings)
        tables[TRANSACTIONS, month.key] = paid[position]
    offered, offer_sums = offer_tables(streams[Purpose.OFFERS], tokens, people, record, settings)
    tables |= offered
    by_month = {}
    draws = generator_of(settings).truth_draws
    for month in dataset.snapshot_months:
        position = month.ordinal - dataset.raw_months.first.ordinal
        found = month_truth(streams[Purpose.TRUTH], position, people, record, law, truths, draws)
        by_month[position] = found
        tables |= {(path, month.key): table for path, table in truth_tables(tokens, found, truths, settings).items()}
        tables[PRODUCT_TRUTH, month.key] = product_truth_table(tokens, found)
        for task, error in found.squared_error.items():
            squared_error[truth_asset(task), month.key] = error
    sums = block_sums(payments, record, by_month, truths, settings) | offer_sums
    return BlockTables(tables, squared_error, sums)
