"""What counts as a false alarm."""

from __future__ import annotations

from studies.false_alarms.clean_run import count


def _record(name: str, asset: str, passed: bool) -> dict[str, object]:
    return {"name": name, "asset": asset, "passed": passed, "reason": "" if passed else "it moved"}


def test_an_asset_that_was_asked_twice_gave_one_result_and_an_alarm_stays_one() -> None:
    records = [
        _record("drift", "features/a@2015-01", True),
        _record("drift", "features/a@2015-01", True),
        _record("drift", "features/a@2015-02", False),
        _record("drift", "features/a@2015-02", True),
        _record("floor", "teacher", False),
    ]
    counted = {name: found.to_json() for name, found in count(records).items()}
    assert counted == {
        "drift": {"results": 2, "alarms": 1, "reasons": {"features/a@2015-02": "it moved"}},
        "floor": {"results": 1, "alarms": 1, "reasons": {"teacher": "it moved"}},
    }


def test_a_result_that_says_something_else_than_true_is_an_alarm() -> None:
    assert count([{"name": "drift", "asset": "a", "passed": "true", "reason": ""}])["drift"].reasons == {"a": ""}
