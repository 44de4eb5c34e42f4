from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.teacher.network.experts.pools import PSEUDO_STEPS, CalendarWindows, SequencePool
from finai_assets.teacher.network.router import Days, SequenceInput, SequenceSlots

CODES, WINDOWS, AGES = 5, (10.0, 30.0), Days(0, 60.0, 40.0)


def sequence(scalars, codes, length):
    return SequenceInput(torch.tensor(scalars)[None, None], torch.tensor(codes)[None, None], torch.tensor([length]))


def test_a_pool_ignores_what_lies_beyond_the_length(small):
    pool = SequencePool(SequenceSlots(((0,) * 6,), ((0,) * 6,), (9,), 0, 6), small.teacher)
    one = pool(sequence([1.0, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0], 5))
    two = pool(sequence([1.0, 2, 3, 4, 5, 9], [1, 2, 3, 4, 5, 7], 5))
    torch.testing.assert_close(one[0], two[0])


def test_a_pool_says_how_much_more_often_than_an_equal_share_each_code_came_lately(small):
    pool = SequencePool(SequenceSlots((), ((0,) * 3,), (4,), 0, 3), small.teacher)
    empty = torch.zeros(1, 0, 3)
    scalars, _ = pool(SequenceInput(empty, torch.tensor([[[1, 2, 1]]]), torch.tensor([3])))
    half = small.teacher.pool_half_lives[0]
    weight = torch.tensor([1, 2 ** (-1 / half), 2 ** (-2 / half)])
    smoothed = torch.tensor([0, weight[0] + weight[2], weight[1], 0]) + PSEUDO_STEPS
    torch.testing.assert_close(
        scalars[0, 1:5], torch.log(smoothed / smoothed.mean())
    )  # the first says how many steps there are
    nothing, _ = pool(SequenceInput(empty, torch.tensor([[[0, 0, 0]]]), torch.tensor([0])))
    assert not nothing.any()


def windows(days, codes, length=None):
    """What the windows say of one customer, whose transactions have ages (days) and codes: float [figures, windows]."""
    steps = max(1, len(days))
    slots = SequenceSlots((tuple(range(steps)),), (tuple(range(steps)),), (CODES,), 0, steps, AGES)
    ages = torch.zeros(1, 1, steps)
    ages[0, 0, : len(days)] = (torch.tensor(days, dtype=torch.float32) - AGES.mean) / AGES.std
    drawn = torch.zeros(1, 1, steps, dtype=torch.int64)
    drawn[0, 0, : len(codes)] = torch.tensor(codes, dtype=torch.int64)
    counted = torch.tensor([len(days) if length is None else length])
    mask = (torch.arange(steps) < counted[:, None]).to(torch.float32)
    return CalendarWindows(slots, WINDOWS)(SequenceInput(ages, drawn, counted), mask)[0].reshape(5, len(WINDOWS))


# away from the windows' ends, which are soft
away = st.floats(0, 100).filter(lambda day: all(abs(day - end) > 0.5 * end for end in WINDOWS))


@given(st.lists(st.tuples(away, st.integers(0, CODES - 1)), max_size=20))
def test_windows_count_what_the_last_days_hold(steps):
    found = windows([day for day, _ in steps], [code for _, code in steps]).T
    for window, told in zip(WINDOWS, found, strict=True):
        seen = np.sort(np.bincount([code for day, code in steps if day < window], minlength=CODES))[::-1]
        total, several = seen.sum(), (seen > 0).sum()
        share, lead = seen[0] / max(1, total), (seen[0] - seen[1]) / max(1, total)
        expected = [np.log1p(total), np.log1p(several), 1 / (1 + several), share, lead]
        torch.testing.assert_close(told, torch.tensor(expected).float(), atol=2e-3, rtol=0)


def test_windows_do_not_see_what_lies_beyond_the_length():
    torch.testing.assert_close(windows([1.0, 2.0, 3.0], [1, 2, 3], length=2), windows([1.0, 2.0], [1, 2]))


def test_an_age_at_the_end_of_a_window_has_a_gradient():
    slots = SequenceSlots(((0,),), ((0,),), (CODES,), 0, 1, AGES)
    ages = torch.tensor([[[(30.0 - AGES.mean) / AGES.std]]], requires_grad=True)
    sequence = SequenceInput(ages, torch.zeros(1, 1, 1, dtype=torch.int64), torch.tensor([1]))
    CalendarWindows(slots, WINDOWS)(sequence, torch.ones(1, 1)).sum().backward()
    assert ages.grad.abs().item() > 0


def test_a_pool_has_windows_where_the_sequence_has_ages(small):
    bare, aged = (SequenceSlots(((0,) * 6,), ((0,) * 6,), (9,), 0, 6, days) for days in (None, AGES))
    without, with_ages = SequencePool(bare, small.teacher), SequencePool(aged, small.teacher)
    assert without.windows is None
    assert with_ages.scalar_count - without.scalar_count == 5 * len(small.teacher.pool_windows)
    scalars, _ = with_ages(sequence([0.0] * 6, [1, 2, 1, 0, 0, 0], 3))
    assert scalars.shape[1] == with_ages.scalar_count
