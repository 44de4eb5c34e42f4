"""Settings by task: a name that no task has is refused, wherever the settings are used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from finai_assets.labels.tasks import build_tasks
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_resources.errors import ConfigError

WRONG: dict[str, dict[str, Any]] = {
    "baselines.column_share_of": {"baselines": {"column_share_of": {"next_mmc": 0.1}}},
    "students.deciding_decile": {"students": {"deciding_decile": {"product_stabilty": "lowest"}}},
}
NEAREST = {"baselines.column_share_of": "next_mcc", "students.deciding_decile": "product_stability"}


@pytest.mark.parametrize("path", WRONG)
def test_a_setting_of_a_task_that_does_not_exist_is_refused_with_the_nearest_name(path: str) -> None:
    settings = load_settings("synthetic", "smoke", overrides=WRONG[path])
    with pytest.raises(ConfigError) as error:
        Platform.of(settings)
    assert f"did you mean {NEAREST[path]}?" in str(error.value)
    assert [other for other in WRONG if other in str(error.value)] == [path]


def test_several_wrong_names_are_one_error_that_names_each_setting() -> None:
    settings = load_settings("synthetic", "smoke", overrides={**WRONG[next(iter(WRONG))], **WRONG[[*WRONG][1]]})
    with pytest.raises(ConfigError, match=r"next_mmc.*product_stabilty") as error:
        Platform.of(settings)
    assert all(path in str(error.value) for path in WRONG)


def test_a_name_like_no_task_is_refused_with_all_names() -> None:
    settings = load_settings("synthetic", "smoke", overrides={"students": {"deciding_decile": {"q": "lowest"}}})
    with pytest.raises(ConfigError, match="choose of churn_signal, ") as error:
        Platform.of(settings)
    assert "did you mean" not in str(error.value)


def test_tasks_that_the_data_set_cannot_carry_and_tasks_from_elsewhere_may_be_named() -> None:
    more = {"baselines": {"column_share_of": {"pension": 0.2}}, "dataset": {"unavailable_tasks": {"next_mcc": "why"}}}
    settings = load_settings("synthetic", "smoke", overrides=more)
    pension = replace(build_tasks(load_settings("synthetic", "smoke"))[0], name="pension")
    assert Platform.of(settings, more_tasks=[pension]).settings.baselines.column_share_of["pension"] == 0.2
