"""A report reaches whoever watches the context it is made in, under the labels of what it is part of."""

from __future__ import annotations

import threading

from finai_resources.progress import part_of, report_progress, watched


def test_a_report_without_a_watcher_does_nothing() -> None:
    report_progress("alone", 1, 2)
    with part_of("larger"):
        report_progress("alone", 1, 2)


def test_a_watcher_sees_what_is_reported_inside_its_block_and_no_more() -> None:
    seen: list[tuple[str, int, int]] = []
    with watched(lambda *report: seen.append(report)):
        report_progress("steps", 1, 2)
    report_progress("steps", 2, 2)
    assert seen == [("steps", 1, 2)]


def test_the_inner_watcher_takes_over_and_the_outer_one_comes_back() -> None:
    seen: list[str] = []
    with watched(lambda label, _done, _total: seen.append(f"outer {label}")):
        with watched(lambda label, _done, _total: seen.append(f"inner {label}")):
            report_progress("a", 0, 1)
        report_progress("b", 1, 1)
    assert seen == ["inner a", "outer b"]


def test_parts_put_their_labels_before_that_of_a_step() -> None:
    seen: list[tuple[str, int, int]] = []
    with watched(lambda *report: seen.append(report)):
        with part_of("fit hmm_states"), part_of("journey"):
            report_progress("iterations", 3, 50)
        report_progress("fit", 1, 17)
    assert seen == [("fit hmm_states, journey, iterations", 3, 50), ("fit", 1, 17)]


def test_another_thread_is_not_seen() -> None:
    seen: list[str] = []
    with watched(lambda label, _done, _total: seen.append(label)):
        thread = threading.Thread(target=report_progress, args=("elsewhere", 1, 1))
        thread.start()
        thread.join()
        report_progress("here", 1, 1)
    assert seen == ["here"]
