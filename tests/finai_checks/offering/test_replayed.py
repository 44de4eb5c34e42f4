"""C28 on recommendations: where two answers part is said of the first difference, of every customer that was answered again."""

from __future__ import annotations

import pyarrow as pa

from finai_checks.offering.replayed import Answer, Told, answers_of, recommendations_replayed

TOLD = Told(3, 0.5, 1, "이유", "reason")


def test_stored_rows_become_answers_in_the_order_of_their_ranks() -> None:
    rows = [
        {"customer_id": 7, "rank": rank, **TOLD._replace(product_id=product)._asdict()}
        for rank, product in ((2, 5), (1, 3))
    ]
    removed = [[], [{"product_id": 4, "code": "AGE_UNKNOWN"}]]
    decisions = pa.table({"customer_id": [7, 8], "code": [None, "NOTHING_SUITABLE"], "removed": removed})
    found = answers_of(pa.Table.from_pylist(rows), decisions)
    assert [entry.product_id for entry in found[7].told] == [3, 5]
    assert found[8] == Answer((), "NOTHING_SUITABLE", ((4, "AGE_UNKNOWN"),))


def test_a_customer_without_a_stored_decision_is_a_difference() -> None:
    outcome = recommendations_replayed({}, {7: Answer((TOLD,), None)})
    assert not outcome.passed
    assert "customer 7: no decision is stored" in outcome.reason


def test_customers_who_were_not_answered_again_are_not_judged() -> None:
    outcome = recommendations_replayed({7: Answer((TOLD,), None), 8: Answer((), "X")}, {7: Answer((TOLD,), None)})
    assert outcome.passed
    assert outcome.n == 1


def test_the_english_reason_alone_is_enough_of_a_difference() -> None:
    stored = Answer((TOLD._replace(reason_en="another"),), None)
    outcome = recommendations_replayed({7: stored}, {7: Answer((TOLD,), None)})
    assert "another reason_en of product 3" in outcome.reason
