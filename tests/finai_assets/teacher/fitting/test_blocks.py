from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.fitting.blocks import Feed, ahead, epoch_order
from finai_assets.teacher.fitting.process_group import ProcessGroup

ROWS = np.arange(10, 1010)


def test_an_epoch_reads_each_row_once_in_an_order_of_its_own():
    orders = [epoch_order(ROWS, seed, epoch, 64, 4) for seed, epoch in ((1, 1), (1, 1), (1, 2), (2, 1))]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), ROWS)
    np.testing.assert_array_equal(orders[0], orders[1])
    for other in orders[2:]:
        assert (orders[0] != other).mean() > 0.9


def test_a_window_holds_whole_blocks_from_all_over_and_mixes_their_rows():
    order = epoch_order(ROWS, 3, 1, 100, 2)
    for start in range(0, 1000, 200):
        window = order[start : start + 200]
        blocks, counts = np.unique((window - 10) // 100, return_counts=True)
        assert counts.tolist() == [100, 100]
        # rows of both blocks among the first half of the window
        assert set(((window[:100] - 10) // 100).tolist()) == set(blocks.tolist())
    firsts = [set(((order[start : start + 200] - 10) // 100).tolist()) for start in range(0, 1000, 200)]
    assert firsts != [{k, k + 1} for k in range(0, 10, 2)]


def test_one_window_over_all_blocks_mixes_everything():
    order = epoch_order(ROWS, 3, 1, 64, 1000)
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.1


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_what_is_made_ahead_comes_in_order(depth):
    assert list(ahead(lambda number: number * number, range(2, 9), depth)) == [n * n for n in range(2, 9)]


def test_a_worker_is_as_far_ahead_as_allowed_and_in_a_thread_of_its_own():
    made, threads = [], set()

    def make(number):
        made.append(number)
        threads.add(threading.get_ident())
        return number

    feed = ahead(make, range(100), 2)
    assert next(feed) == 0
    feed.close()
    assert len(made) <= 3
    assert threading.get_ident() not in threads


def test_an_error_of_the_worker_reaches_the_reader():
    def make(number):
        if number == 2:
            raise ValueError("row 2 is broken")
        return number

    feed = ahead(make, range(5), 2)
    assert [next(feed), next(feed)] == [0, 1]
    with pytest.raises(ValueError, match="row 2"):
        next(feed)


@pytest.fixture
def feed_of(panel, normaliser, small):
    def make(processes, **loop):
        data = TeacherData.of(panel, panel.tasks, small)
        chosen = small.teacher.loop.model_copy(update=loop)
        return Feed(data, normaliser, chosen, processes, batch_rows=300, seed=1)

    return make


def test_parts_and_processes_share_a_batch_out_and_count_its_labels_together(feed_of, panel):
    cpu = torch.device("cpu")
    whole = list(feed_of(ProcessGroup(cpu)).epoch(1))
    assert len(whole) == 7
    pieces = [list(feed_of(ProcessGroup(cpu, rank, 2), accumulation=3).epoch(1)) for rank in (0, 1)]
    for batch, *shared in zip(whole, *pieces, strict=True):
        parts = [part for piece in shared for part in piece.parts]
        assert len(parts) == 6
        torch.testing.assert_close(torch.cat([part.x for part in parts]), batch.parts[0].x, rtol=0, atol=0)
        assert sum(part.share for part in parts) == pytest.approx(1)
        for piece in shared:
            assert piece.labelled == batch.labelled
        for name, count in batch.labelled.items():
            labels = torch.cat([part.labels[name] for part in parts])
            assert len(labels) == count
            torch.testing.assert_close(labels, batch.parts[0].labels[name])
            known = batch.parts[0].known[name]
            assert known is None or len(known) == count


def test_an_epoch_taken_up_in_its_middle_goes_on_with_the_same_batches(feed_of):
    feed = feed_of(ProcessGroup(torch.device("cpu")))
    whole, rest = list(feed.epoch(2)), list(feed.epoch(2, first=4))
    assert [batch.number for batch in rest] == [4, 5, 6]
    for one, two in zip(whole[4:], rest, strict=True):
        torch.testing.assert_close(one.parts[0].x, two.parts[0].x, rtol=0, atol=0)
