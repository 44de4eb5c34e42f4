"""Self-supervised pretraining of the sequence encoder: to predict the event after each transaction and after a cutoff.

The model is one block of Gu and Dao, Mamba, 2023. Its encoding is all that the heads see: from it they predict the next
transaction's MCC, log amount, sign and log gap. A training sequence is the run of transactions before an instant drawn evenly
from a customer's history, closed by a step for the cutoff that knows only the time since the last transaction; there the heads
predict the transaction that follows the instant, and how long it takes from then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.features.mcc_vocabulary import hash_table, rank_of
from finai_assets.features.methods.selective_scan import (
    CONVOLUTION,
    NUMBERS,
    hour_of,
    log_amount,
    log_gap,
    weekday_of,
)
from finai_assets.features.methods.selective_scan_autograd import selective_scan
from finai_resources.progress import report_progress

EXPAND = 2  # channels a unit of model width, as in the paper
STEP_RANGE = (1e-3, 1e-1)  # of delta at the start
FORGOTTEN = 1 / 32  # share of training sequences that hold the cutoff alone, so that the empty sequence means something
UNSEEN = 0.02  # share of steps whose MCC is hidden, so that an unseen one means something
CLIP = 1.0
CUTOFF_WEIGHT = 5.0  # transactions that a cutoff counts for in the loss
TARGETS = 3  # beside the MCC: log amount, credit, log gap


@dataclass(frozen=True)
class Size:
    """Widths of the model: of a step's embedding, of the state of a channel, of the encoding, and of the vocabulary."""

    model: int
    state: int
    encoding: int
    vocabulary: int


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and on what the model is trained."""

    length: int  # transactions of a sequence, at most
    epochs: int
    batch_rows: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Histories:
    """Transactions of some customers as the model takes them: ``start`` [n + 1] holds offsets into the other arrays.

    ``gap`` is that before the transaction, 0 before a customer's first; ``size`` and ``gap`` are standardised by ``scale``
    [2, 2], a mean and an inverse deviation each.
    """

    start: np.ndarray
    ts: np.ndarray
    mcc: np.ndarray
    hour: np.ndarray
    weekday: np.ndarray
    size: np.ndarray
    credit: np.ndarray
    gap: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Sequences end to end; the last step of each is the cutoff. ``next_*`` are each step's targets."""

    start: np.ndarray  # int64 [sequences + 1]
    at_cutoff: Tensor  # bool [steps]
    mcc: Tensor
    hour: Tensor
    weekday: Tensor
    numbers: Tensor  # [steps, 3]: log amount, credit, log gap
    next_mcc: Tensor
    next_numbers: Tensor


def read_histories(events: tuple[np.ndarray, ...], codes: np.ndarray, scale: np.ndarray | None = None) -> Histories:
    """Return histories of customers with events as ``Events.arrays``; the scale is theirs where none is given."""
    start, ts, amount, mcc, _ = events
    ranks = np.empty(len(ts), np.int64)
    _rank(mcc, *hash_table(codes), ranks)
    size, later = log_amount(amount), np.ones(len(ts), bool)
    later[start[:-1][np.diff(start) > 0]] = False
    gap = log_gap(np.diff(ts, prepend=ts[:1]) * later)
    if scale is None:
        scale = np.array([_moments(size), _moments(gap[later])], np.float32)
    credit = (amount > 0).astype(np.float32)
    scaled_gap = np.where(later, standard(gap, scale[1]), np.float32(0))
    return Histories(start, ts, ranks, hour_of(ts), weekday_of(ts), standard(size, scale[0]), credit, scaled_gap, scale)


def standard(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return values as float32 with a mean taken off and an inverse deviation multiplied."""
    return np.asarray((values.astype(np.float32) - scale[0]) * scale[1])


def _moments(values: np.ndarray) -> tuple[float, float]:
    deviation = float(values.std()) if len(values) else 0.0
    return (float(values.mean()), 1.0 / deviation) if deviation > 0 else (0.0, 1.0)


@numba.njit(cache=True, nogil=True)
def _rank(mcc: Any, keys: Any, ranks: Any, out: Any) -> None:
    for e in range(len(mcc)):
        out[e] = rank_of(keys, ranks, mcc[e])


def make_batch(
    histories: Histories,
    customers: np.ndarray,
    instants: np.ndarray,
    length: int,
    forgotten: np.ndarray,
    vocabulary: int,
) -> Batch:
    """Return the sequences of some customers before an instant each, which a transaction of theirs must follow.

    ``forgotten`` marks those of which only the cutoff is left.
    """
    start = histories.start
    following = np.empty(len(customers), np.int64)
    _before(start, histories.ts, customers, instants, following)
    begin = np.where(forgotten, following, np.maximum(start[customers], following - length))
    lengths = following - begin + 1
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    at = np.repeat(begin - offsets[:-1], lengths) + np.arange(offsets[-1])
    ends, firsts = offsets[1:] - 1, offsets[:-1]
    at_cutoff = np.zeros(len(at), bool)
    at_cutoff[ends] = True
    target = np.where(at_cutoff, at, at + 1)
    scale = histories.scale[1]
    gap = histories.gap[at]
    gap[firsts] = 0.0
    since = standard(log_gap(instants - histories.ts[following - 1]), scale)
    gap[ends] = np.where(lengths > 1, since, np.float32(0))
    next_gap = histories.gap[target]
    next_gap[ends] = standard(log_gap(histories.ts[following] - instants), scale)
    numbers = np.stack(
        [np.where(at_cutoff, 0, histories.size[at]), np.where(at_cutoff, 0, histories.credit[at]), gap], 1
    )
    next_numbers = np.stack([histories.size[target], histories.credit[target], next_gap], 1)
    return Batch(
        offsets,
        torch.from_numpy(at_cutoff),
        torch.from_numpy(np.where(at_cutoff, vocabulary + 1, histories.mcc[at])),
        torch.from_numpy(np.where(at_cutoff, 24, histories.hour[at])),
        torch.from_numpy(np.where(at_cutoff, 7, histories.weekday[at])),
        torch.from_numpy(numbers.astype(np.float32)),
        torch.from_numpy(histories.mcc[target]),
        torch.from_numpy(next_numbers.astype(np.float32)),
    )


@numba.njit(cache=True, nogil=True)
def _before(start: Any, ts: Any, customers: Any, instants: Any, out: Any) -> None:
    """Write the position of each customer's first transaction that is not before the instant."""
    for i in range(len(customers)):
        begin, end = start[customers[i]], start[customers[i] + 1]
        out[i] = begin + np.searchsorted(ts[begin:end], instants[i])


class SequenceEncoder(nn.Module):
    """Embedding of steps, one selective state-space block, the encoding, and the heads that read it."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        channels, rank = EXPAND * size.model, math.ceil(size.model / 16)
        self.size, self.rank = size, rank

        def drawn(*shape: int, spread: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape) * spread)

        narrow = size.model**-0.5
        self.token_mcc = drawn(size.vocabulary + 1, size.model, spread=0.5)
        self.token_hour = drawn(24, size.model, spread=0.1)
        self.token_weekday = drawn(7, size.model, spread=0.1)
        self.token_numbers = drawn(NUMBERS, size.model, spread=0.5)
        self.token_cutoff = drawn(size.model, spread=0.5)
        self.in_proj = drawn(2 * channels, size.model, spread=narrow)
        self.convolution = drawn(channels, CONVOLUTION, spread=CONVOLUTION**-0.5)
        self.convolution_bias = nn.Parameter(torch.zeros(channels))
        self.select = drawn(rank + 2 * size.state, channels, spread=channels**-0.5)
        self.step = drawn(channels, rank, spread=rank**-0.5)
        low, high = (math.log(bound) for bound in STEP_RANGE)
        first = torch.exp(low + (high - low) * torch.rand(channels))
        self.step_bias = nn.Parameter(first + torch.log(-torch.expm1(-first)))  # softplus of it is ``first``
        self.log_a = nn.Parameter(torch.log(torch.arange(1.0, size.state + 1)).repeat(channels, 1))  # S4D-real
        self.d = nn.Parameter(torch.ones(channels))
        self.out_proj = drawn(size.encoding, channels, spread=channels**-0.5)
        self.skip_proj = drawn(size.encoding, size.model, spread=narrow)
        self.norm = nn.Parameter(torch.ones(size.encoding))
        self.head = drawn(size.vocabulary + TARGETS, size.encoding, spread=size.encoding**-0.5)
        self.head_bias = nn.Parameter(torch.zeros(size.vocabulary + TARGETS))

    def forward(self, batch: Batch) -> Tensor:
        """Return the encoding after each step, [steps, encoding]."""
        blank = self.token_hour.new_zeros(1, self.size.model)
        u = (
            functional.embedding(batch.mcc, torch.cat([self.token_mcc, self.token_cutoff[None]]))
            + functional.embedding(batch.hour, torch.cat([self.token_hour, blank]))
            + functional.embedding(batch.weekday, torch.cat([self.token_weekday, blank]))
            + batch.numbers @ self.token_numbers
        )
        entered, z = (u @ self.in_proj.T).chunk(2, dim=1)
        x = functional.silu(self._convolve(entered, batch.start))
        delta, b, c = self.selection(x)
        y = selective_scan(x, delta, -torch.exp(self.log_a).T, b, c, batch.start) + self.d * x
        out = (y * functional.silu(z)) @ self.out_proj.T + u @ self.skip_proj.T
        return out * torch.rsqrt(out.square().mean(dim=1, keepdim=True) + 1e-6) * self.norm

    def selection(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return delta [steps, channels], B and C [steps, states] of the steps' channels."""
        low, b, c = torch.split(x @ self.select.T, [self.rank, self.size.state, self.size.state], dim=1)
        return functional.softplus(low @ self.step.T + self.step_bias), b, c

    def _convolve(self, entered: Tensor, start: np.ndarray) -> Tensor:
        """Sum each step with the three before it in its sequence."""
        first, weights = torch.from_numpy(start[:-1]), self.convolution.T.contiguous()  # rows: the loops run over them
        total = entered * weights[-1] + self.convolution_bias
        earlier = entered
        for back in range(2, CONVOLUTION + 1):
            earlier = functional.pad(earlier[:-1], (0, 0, 1, 0)).index_fill_(0, first, 0.0)
            total = total + earlier * weights[-back]
        return total

    def predict(self, encoding: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of the next MCC, by rank from 1, and of the three numbers."""
        found = encoding @ self.head.T + self.head_bias
        return found[:, :-TARGETS], found[:, -TARGETS:]

    def losses(self, batch: Batch) -> Tensor:
        """Return [steps, 4]: cross-entropy of the MCC (0 where it is unknown), Huber of the logs, and of the sign."""
        logits, numbers = self.predict(self(batch))
        mcc = functional.cross_entropy(logits, batch.next_mcc - 1, ignore_index=-1, reduction="none")
        size = functional.huber_loss(numbers[:, 0], batch.next_numbers[:, 0], reduction="none")
        credit = functional.binary_cross_entropy_with_logits(numbers[:, 1], batch.next_numbers[:, 1], reduction="none")
        gap = functional.huber_loss(numbers[:, 2], batch.next_numbers[:, 2], reduction="none")
        return torch.stack([mcc, size, credit, gap], dim=1)


def pretrain(histories: Histories, size: Size, schedule: Schedule) -> dict[str, np.ndarray]:
    """Train an encoder from a seeded start and return its parameters by name, float32."""
    with _on_one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        model = SequenceEncoder(size)
        batches = _Batches(histories, _usable(histories), size.vocabulary, schedule)
        if batches.count:
            _train(model, batches, schedule.learning_rate)
    return {name: value.detach().numpy().copy() for name, value in model.named_parameters()}


def _train(model: SequenceEncoder, batches: _Batches, learning_rate: float) -> None:
    optimiser = torch.optim.Adam(model.parameters(), learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=batches.count + 1)
    for done, batch in enumerate(batches, start=1):
        weight = 1 + (CUTOFF_WEIGHT - 1) * batch.at_cutoff
        loss = (weight * model.losses(batch).sum(dim=1)).sum() / weight.sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        rate.step()
        report_progress("batches", done, batches.count)


@contextmanager
def _on_one_thread() -> Iterator[None]:
    """Hold torch to one thread: batches are small, and threads would wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _usable(histories: Histories) -> np.ndarray:
    """Return the customers whose transactions are not all at the same instant."""
    begin, end = histories.start[:-1], histories.start[1:]
    some = np.flatnonzero(end > begin)
    return np.asarray(some[histories.ts[end[some] - 1] > histories.ts[begin[some]]])


@dataclass(frozen=True)
class _Batches:
    """All batches of a schedule: in each epoch every customer once, in a drawn order and up to a drawn instant."""

    histories: Histories
    usable: np.ndarray
    vocabulary: int
    schedule: Schedule

    @property
    def count(self) -> int:
        return self.schedule.epochs * -(-len(self.usable) // self.schedule.batch_rows)

    def __iter__(self) -> Iterator[Batch]:
        histories, usable, schedule = self.histories, self.usable, self.schedule
        rng = np.random.default_rng(schedule.seed)
        first, last = histories.ts[histories.start[:-1][usable]], histories.ts[histories.start[1:][usable] - 1]
        for _ in range(schedule.epochs):
            order = rng.permutation(len(usable))
            instants = first + 1 + (rng.random(len(usable)) * (last - first)).astype(np.int64)
            for begin in range(0, len(order), schedule.batch_rows):
                rows = order[begin : begin + schedule.batch_rows]
                forgotten = rng.random(len(rows)) < FORGOTTEN
                batch = make_batch(histories, usable[rows], instants[rows], schedule.length, forgotten, self.vocabulary)
                hidden = torch.from_numpy(rng.random(len(batch.mcc)) < UNSEEN) & ~batch.at_cutoff
                batch.mcc[hidden] = 0
                yield batch
