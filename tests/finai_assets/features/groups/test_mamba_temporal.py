"""The fit of the sequence encoder: whom it sees, that it can be repeated, and that what it learns is in the sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from finai_assets.features.block import Block, read_block
from finai_assets.features.events import Events
from finai_assets.features.groups import mamba_temporal
from finai_assets.features.methods.mamba_pretraining import (
    Batch,
    Histories,
    SequenceEncoder,
    Size,
    make_batch,
    read_histories,
)
from finai_assets.features.sampling import customer_hash
from finai_assets.features.statistics import build_reference, effective_rank
from finai_assets.ingest.adapter import open_adapter
from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.synthetic import generate
from finai_assets.partitions import look_back
from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import watched

KEY = b"a key of the tests, 32 bytes long"


def with_group(settings: Settings, **changed: Any) -> Settings:
    group = settings.feature_groups.mamba_temporal.model_copy(update=changed)
    groups = settings.feature_groups.model_copy(update={"mamba_temporal": group})
    return settings.model_copy(update={"feature_groups": groups})


@pytest.fixture(scope="module")
def quick(small: Settings) -> Settings:
    return with_group(small, epochs=1, fit_rows=60)


@pytest.fixture(scope="module")
def blocks(world: Any) -> list[Block]:
    session = LakeSession(world.lake)
    months = list(world.settings.dataset.splits.train)[-3:]
    return [read_block(session, month, -(2**62), 2**62, world.settings) for month in months]


@pytest.fixture(scope="module")
def params(blocks: list[Block], quick: Settings) -> dict[str, np.ndarray]:
    return mamba_temporal.fit(blocks, quick)


def test_a_customer_is_seen_once_in_its_latest_month_and_chosen_by_its_hash(
    blocks: list[Block], quick: Settings
) -> None:
    found = mamba_temporal.fit_events(blocks, quick)
    latest = {int(c): block for block in blocks for c in block.customer_id}
    assert any(block is not blocks[-1] for block in latest.values())
    ids = np.array(sorted(latest))
    hashes = customer_hash(ids, seed=quick.seed, salt="mamba_temporal")
    chosen = set(ids[np.argsort(hashes)[:60]].tolist())
    expected = [
        block.events.take(np.flatnonzero(np.isin(block.customer_id, [c for c in chosen if latest[c] is block])))
        for block in blocks
    ]
    assert len(found.start) - 1 == 60
    for name in ("ts", "amount", "mcc"):
        np.testing.assert_array_equal(getattr(found, name), np.concatenate([getattr(part, name) for part in expected]))
    np.testing.assert_array_equal(np.diff(found.start), np.concatenate([np.diff(part.start) for part in expected]))


def test_a_second_fit_gives_the_same_bytes_and_leaves_torch_as_it_was(
    blocks: list[Block], quick: Settings, params: dict[str, np.ndarray]
) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    seen: list[tuple[str, int, int]] = []
    with watched(lambda *step: seen.append(step)):
        again = mamba_temporal.fit(blocks, quick)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert sorted(again) == sorted(params)
    for name, array in params.items():
        assert again[name].tobytes() == array.tobytes(), name
    assert seen[-1] == ("batches", len(seen), len(seen))
    other = mamba_temporal.fit(blocks, quick.model_copy(update={"seed": quick.seed + 1}))
    assert any(other[name].tobytes() != params[name].tobytes() for name in params)


def test_the_fit_takes_the_number_of_torch_threads_as_it_finds_it_and_does_not_depend_on_it(
    blocks: list[Block], quick: Settings, params: dict[str, np.ndarray]
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again = mamba_temporal.fit(blocks, quick)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert all(again[name].tobytes() == params[name].tobytes() for name in params)


def test_parameters_are_plain_arrays_of_single_precision(params: dict[str, np.ndarray], quick: Settings) -> None:
    chosen = quick.feature_groups.mamba_temporal
    assert params["log_a"].shape == (2 * chosen.model_width, chosen.state)
    assert params["out_proj"].shape == (chosen.width, 2 * chosen.model_width)
    assert {array.dtype for name, array in params.items() if name != "mcc_codes"} == {np.dtype(np.float32)}
    assert all(np.isfinite(array).all() for array in params.values())


def test_a_panel_without_a_transaction_can_be_fitted_and_encoded(blocks: list[Block], quick: Settings) -> None:
    idle = [replace(block, events=Events.none(len(block))) for block in blocks]
    params = mamba_temporal.fit(idle, quick)
    values = mamba_temporal.transform(idle[0], params, quick)
    assert np.isfinite(values).all()
    assert (values == values[0]).all()
    busy = mamba_temporal.transform(blocks[0], params, quick)  # every MCC is unseen
    assert np.isfinite(busy).all()
    assert (busy.std(axis=0) > 0).all()


def test_single_transactions_and_ties_in_time_can_be_fitted(blocks: list[Block], quick: Settings) -> None:
    block = blocks[-1]
    n = len(block)
    counts = np.arange(n) % 3
    start = np.concatenate([[0], np.cumsum(counts)])
    total = int(start[-1])
    tied = Events(
        start, np.full(total, block.month.cutoff_us - 1), np.full(total, -10.0), np.full(total, 4000, np.int32),
        np.zeros(total, np.int64),
    )  # fmt: skip
    params = mamba_temporal.fit([replace(block, events=tied)], quick)
    assert all(np.isfinite(array).all() for array in params.values())


@dataclass(frozen=True)
class Trained:
    settings: Settings
    fitted: Block
    held_out: Block
    params: dict[str, np.ndarray]

    @property
    def model(self) -> SequenceEncoder:
        chosen = self.settings.feature_groups.mamba_temporal
        size = Size(chosen.model_width, chosen.state, chosen.width, len(self.params["mcc_codes"]))
        made = SequenceEncoder(size)
        made.load_state_dict({name: torch.from_numpy(self.params[name].copy()) for name, _ in made.named_parameters()})
        return made

    def histories(self, block: Block) -> Histories:
        return read_histories(block.events.arrays, self.params["mcc_codes"], self.params["scale"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Fit on most customers of the generator's panel, and hold out the others, and the months after train."""
    settings = load_settings("synthetic", "smoke", overrides={"generator": {"customers": 1500}})
    # A small share of the customers of a real fit, so more epochs, that there be as many steps.
    settings = with_group(settings, epochs=12)
    session = LakeSession(Lake.on_disk(tmp_path_factory.mktemp("sequences") / "lake"))
    generate(settings, KEY, session, tasks=(), workers=2, code_version="test")
    adapter = open_adapter(settings, KEY, session)
    load_catalogue(adapter, session, settings, code_version="test")
    known, later = settings.dataset.splits.train.last, settings.dataset.splits.test.last
    for month in sorted({*look_back(known, settings), *look_back(later, settings)}):
        load_month(adapter, session, month, settings, code_version="test")

    def block(month: Month, share: range) -> Block:
        whole = read_block(session, month, -(2**62), 2**62, settings)
        chosen = customer_hash(whole.customer_id, seed=1, salt="held out") % np.uint64(4)
        return whole.take(np.flatnonzero(np.isin(chosen, list(share))))

    fitted, held_out = block(known, range(3)), block(later, range(3, 4))
    assert not set(fitted.customer_id.tolist()) & set(held_out.customer_id.tolist())
    return Trained(settings, fitted, held_out, mamba_temporal.fit([fitted], settings))


def last_sequences(trained: Trained, histories: Histories) -> Batch:
    """Return each customer's last transactions, the very last one being that to predict."""
    begin, end = histories.start[:-1], histories.start[1:]
    some = np.flatnonzero(end - begin > 1)
    last = histories.ts[end[some] - 1]
    some, last = some[last > histories.ts[begin[some]]], last[last > histories.ts[begin[some]]]
    length = trained.settings.feature_groups.mamba_temporal.transactions
    return make_batch(histories, some, last, length, np.zeros(len(some), bool), len(trained.params["mcc_codes"]))


@pytest.mark.slow
def test_the_next_category_of_unseen_customers_is_predicted_better_than_by_frequencies_or_by_the_last_one(
    trained: Trained,
) -> None:
    train, histories = trained.histories(trained.fitted), trained.histories(trained.held_out)
    batch, vocabulary = last_sequences(trained, histories), len(trained.params["mcc_codes"])
    assert histories.mcc.min() > 0
    with torch.no_grad():
        losses = trained.model.losses(batch).numpy()
    at = (~batch.at_cutoff).numpy()
    before, after = batch.mcc.numpy()[at], batch.next_mcc.numpy()[at]

    pairs = np.ones((vocabulary + 1, vocabulary))  # one more of each than was counted
    inside = np.ones(len(train.mcc), bool)
    inside[train.start[:-1][np.diff(train.start) > 0]] = False
    np.add.at(pairs, (np.roll(train.mcc, 1)[inside], train.mcc[inside] - 1), 1)
    share = pairs.sum(axis=0) / pairs.sum()
    unigram = -np.log(share[after - 1]).mean()
    bigram = -np.log((pairs / pairs.sum(axis=1, keepdims=True))[before, after - 1]).mean()
    encoder = losses[at, 0].mean()
    assert bigram < unigram - 0.1
    assert encoder < bigram - 0.05
    assert encoder < unigram - 0.3

    # Sizes and gaps are better than their means, too, which is what the standard scale stands for.
    constant = [np.median(values) for values in batch.next_numbers.numpy()[at].T]
    for target, column in ((0, 1), (2, 3)):
        error = np.abs(batch.next_numbers.numpy()[at][:, target] - constant[target])
        huber = np.where(error < 1, 0.5 * error**2, error - 0.5).mean()
        assert losses[at, column].mean() < 0.95 * huber


@pytest.mark.slow
def test_the_encoding_at_a_cutoff_says_what_follows_and_the_empty_sequence_says_what_is_usual(trained: Trained) -> None:
    train, histories = trained.histories(trained.fitted), trained.histories(trained.held_out)
    vocabulary = len(trained.params["mcc_codes"])
    usual = (np.bincount(train.mcc, minlength=vocabulary + 1)[1:] + 1.0) / (len(train.mcc) + vocabulary)
    begin, end = histories.start[:-1], histories.start[1:]
    some = np.flatnonzero(end - begin > 30)
    rng, model = np.random.default_rng(2), trained.model
    losses, expected = [], []
    for _ in range(5):
        last = end[some] - 1 - rng.integers(0, 15, len(some))
        instants = histories.ts[last - 1] + 1 + (
            rng.random(len(some)) * (histories.ts[last] - histories.ts[last - 1] - 1).clip(0)
        ).astype(np.int64)  # fmt: skip
        batch = make_batch(histories, some, instants, 200, np.zeros(len(some), bool), vocabulary)
        with torch.no_grad():
            losses.append(model.losses(batch)[batch.at_cutoff, 0].numpy())
        expected.append(-np.log(usual[batch.next_mcc.numpy()[batch.at_cutoff.numpy()] - 1]))
    assert np.mean(losses) < np.mean(expected) - 0.3

    forgotten = make_batch(histories, some[:1], histories.ts[end[some[:1]] - 1], 200, np.ones(1, bool), vocabulary)
    with torch.no_grad():
        found = torch.softmax(model.predict(model(forgotten))[0][0], dim=0).numpy().astype(np.float64)
    divergence = (usual * np.log(usual / found)).sum()
    assert divergence < 0.15


@pytest.mark.slow
def test_the_columns_span_many_directions_between_unseen_customers(trained: Trained) -> None:
    values = mamba_temporal.transform(trained.held_out, trained.params, trained.settings)
    reference = build_reference(mamba_temporal.transform(trained.fitted, trained.params, trained.settings), 10)
    assert effective_rank(values, reference) > 10
