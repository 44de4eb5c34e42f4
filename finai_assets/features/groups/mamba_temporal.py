"""Selective state-space encoding of the last transactions.

The customer's last transactions, oldest first, run through one selective state-space block (``features/selective_scan.py``),
and then a step for the cutoff that carries the time since the last of them. What stands there after is the encoding: the vector
from which pretraining predicts what the customer does next (``features/mamba_pretraining.py``). Customers without transactions
all get the encoding of the empty sequence, the cutoff step alone; pretraining knows it as that of a forgotten history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from finai_assets.features.events import Events
from finai_assets.features.inputs import AMOUNT, MCC, TS, look_back_days
from finai_assets.features.mcc_vocabulary import codes_by_frequency, hash_table
from finai_assets.features.methods.selective_scan import encode, fold
from finai_assets.features.registry import Column, Params
from finai_assets.features.sampling import customer_hash, lowest

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the encoding's components."""
    days = look_back_days(settings)
    return tuple(
        Column(f"mamba_{k:02d}", "mamba_temporal", "continuous", "1",
               f"Component {k} of the sequence encoder's last state", f"거래 흐름 특성 {k}", (TS, AMOUNT, MCC), days,
               "train", "never missing")
        for k in range(settings.feature_groups.mamba_temporal.width)
    )  # fmt: skip


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Pretrain the encoder on at most ``fit_rows`` customers, each in the latest month that the sample has of it.

    Returns
    -------
    dict
        ``mcc_codes`` int32, most frequent first; ``scale`` [2, 2], mean and inverse deviation of log amount and of log gap;
        and the parameters of ``SequenceEncoder`` by name, its heads included.
    """
    from finai_assets.features.methods.mamba_pretraining import (  # noqa: PLC0415 # torch is for fits only
        Schedule,
        Size,
        pretrain,
        read_histories,
    )

    chosen = settings.feature_groups.mamba_temporal
    codes = codes_by_frequency(blocks)
    histories = read_histories(fit_events(blocks, settings).arrays, codes)
    size = Size(chosen.model_width, chosen.state, chosen.width, len(codes))
    schedule = Schedule(chosen.transactions, chosen.epochs, chosen.batch_rows, chosen.learning_rate, settings.seed)
    trained = pretrain(histories, size, schedule)
    return {"mcc_codes": codes, "scale": histories.scale, **trained}


def fit_events(blocks: Sequence[Block], settings: Settings) -> Events:
    """Return the events of the rows that pretraining sees: a customer occurs once, as months of one overlap."""
    ids = np.concatenate([block.customer_id for block in blocks])
    month = np.repeat([block.month.ordinal for block in blocks], [len(block) for block in blocks])
    order = np.lexsort((month, ids))
    latest = np.zeros(len(ids), bool)
    latest[order] = np.append(ids[order][1:] != ids[order][:-1], True)[: len(ids)]
    hashes = customer_hash(ids, seed=settings.seed, salt="mamba_temporal")
    limit = np.uint64(lowest(hashes[latest], settings.feature_groups.mamba_temporal.fit_rows))
    rows = latest & (hashes <= limit)
    parts, at = [], 0
    for block in blocks:
        parts.append(block.events.take(np.flatnonzero(rows[at : at + len(block)])))
        at += len(block)
    counts = np.concatenate([np.diff(part.start) for part in parts])
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Events(start, *(np.concatenate(arrays) for arrays in zip(*(p.arrays[1:] for p in parts), strict=True)))


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, width]."""
    chosen = settings.feature_groups.mamba_temporal
    out = np.empty((len(block), chosen.width), np.float32, order="F")
    keys, ranks = hash_table(params["mcc_codes"])
    encode(block.events.arrays, keys, ranks, block.month.cutoff_us, chosen.transactions, fold(params), out)
    return out
