"""The table of tasks: its texts follow the settings, its functions exist, and a row whose parts disagree is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.features.inputs import HELD, MCC, SNAPSHOTS, TRANSACTIONS, TS
from finai_assets.ingest.synthetic.truth import Truth
from finai_assets.labels.task import Task, Window
from finai_assets.labels.tasks import available, build_tasks
from finai_assets.labels.tasks_page import TARGET, render
from finai_assets.labels.windows import LabelBlock, WindowEvents, months_read, sources
from finai_assets.platform import Platform
from finai_assets.reference import resolve
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError
from finai_resources.months import Month

TASKS = build_tasks(load_settings("synthetic", "smoke"))


def row(name: str, tasks: tuple[Task, ...] = TASKS) -> Task:
    return next(task for task in tasks if task.name == name)


def test_there_are_thirteen_in_an_order_that_stored_matrices_have() -> None:
    assert [task.name for task in TASKS] == [
        "churn_signal", "product_stability", "nba_primary", "cross_sell_count", "will_acquire_deposits",
        "will_acquire_investments", "will_acquire_accounts", "will_acquire_lending", "will_acquire_payments", "next_mcc",
        "mcc_diversity_trend", "top_mcc_shift", "segment_prediction",
    ]  # fmt: skip


def test_figures_in_a_definition_are_those_of_the_settings() -> None:
    assert row("churn_signal").definition == (
        "products held at the end of the window < 0.7 x mean held over the last 6 observed months"
    )
    chosen = {"churn_signal": {"share": [1, 2], "history_months": 3}, "next_mcc": {"top": 5}}
    tasks = build_tasks(load_settings("synthetic", "smoke", overrides={"tasks": chosen}))
    assert "< 0.5 x mean held over the last 3 observed months" in row("churn_signal", tasks).definition
    assert row("churn_signal", tasks).window.history_months == 3
    assert "(top 5 on train + other)" in row("next_mcc", tasks).definition
    assert row("next_mcc", tasks).vocabulary == 5


def nobody(settings: Settings) -> LabelBlock:
    none = WindowEvents(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
    products = len(settings.products)
    return LabelBlock(
        np.zeros((0, 1, products), bool), np.zeros((0, 1), bool), np.zeros((0, products), bool), np.empty(0, np.int8),
        none, none,
    )  # fmt: skip


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_function_that_a_row_names_exists(task: Task, settings: Settings) -> None:
    labels: pa.Array = resolve(task.formula)(nobody(settings), task.parameters)
    assert labels.type == task.type
    assert isinstance(resolve(str(task.truth)), Truth)
    if task.persistence:
        assert callable(resolve(task.persistence))


def test_the_table_imports_no_function_that_it_names() -> None:
    named = ("finai_assets.labels.formulas", "finai_assets.labels.persistence", "finai_assets.ingest.synthetic")
    program = (
        "import sys; import finai_assets.labels.tasks, finai_assets.labels.derive; "
        f"print([name for name in sys.modules if name.startswith({named!r})])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_tasks_that_the_data_set_cannot_carry_are_marked_and_left_out() -> None:
    settings = load_settings("synthetic", "smoke", overrides={"dataset": {"unavailable_tasks": {"next_mcc": "why"}}})
    tasks = build_tasks(settings)
    assert row("next_mcc", tasks).unavailable == "why"
    assert len(available(tasks)) == 12


def test_a_reason_for_a_task_that_does_not_exist_is_refused() -> None:
    settings = load_settings("synthetic", "smoke", overrides={"dataset": {"unavailable_tasks": {"next_mmc": "why"}}})
    with pytest.raises(ConfigError, match=r"unknown tasks \['next_mmc'\]") as error:
        build_tasks(settings)
    assert "next_mcc" in str(error.value)


def test_a_task_whose_acquisition_set_is_missing_cannot_be_carried() -> None:
    settings = load_settings("synthetic", "smoke")
    left = {name: codes for name, codes in settings.acquisition_sets.items() if name != "lending"}
    tasks = build_tasks(settings.model_copy(update={"acquisition_sets": left}))
    assert "acquisition_sets.lending" in str(row("will_acquire_lending", tasks).unavailable)
    assert len(available(tasks)) == 12


def test_an_acquisition_set_that_no_task_is_about_is_refused() -> None:
    settings = load_settings("synthetic", "smoke", overrides={"acquisition_sets": {"pensions": ["annuity"]}})
    with pytest.raises(ConfigError, match=r"no task is about the products of \['pensions'\]") as error:
        build_tasks(settings)
    assert "lending" in str(error.value)
    pensions = replace(row("will_acquire_lending"), name="will_acquire_pensions", acquires="pensions")
    assert build_tasks(settings, [pensions])[-1] == pensions


def test_a_row_from_elsewhere_stands_last_and_needs_a_name_of_its_own(settings: Settings) -> None:
    more = replace(row("cross_sell_count"), name="another")
    assert Platform.of(settings, more_tasks=(more,)).tasks == (*build_tasks(settings), more)
    with pytest.raises(ConfigError, match=r"tasks occur twice: \['next_mcc'\]"):
        build_tasks(settings, [row("next_mcc")])
    with pytest.raises(ConfigError, match="the task has no class"):
        build_tasks(settings, [replace(row("segment_prediction"), name="another", class_names=())])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": ("raw/snapshots.income",)}, r"labels are not computed from \['raw/snapshots.income'\]"),
        ({"inputs": (HELD, MCC, TS)}, "inputs and window disagree about raw/transactions"),
        ({"window": Window()}, "inputs and window disagree about raw/snapshots"),
        ({"class_names": ("a", "b")}, "a regression task has 1 descriptions of its classes"),
        ({"kind": "multiclass", "class_names": ("a", "b"), "vocabulary": 3}, "has 2 descriptions"),
        ({"acquires": "lending"}, "serving would not find the task of its set"),
    ],
)
def test_a_row_whose_parts_disagree_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        replace(row("cross_sell_count"), **change)
    assert "task cross_sell_count" in str(error.value)


def test_labels_are_decided_by_the_window_alone_where_nothing_before_it_is_read() -> None:
    assert {task.name for task in TASKS if task.decided_by_window} == {"next_mcc", "segment_prediction"}


def test_the_months_of_a_label_are_those_of_its_window(settings: Settings) -> None:
    month = Month.parse("2015-03")
    assert sources(row("segment_prediction"), month, settings) == {(SNAPSHOTS, "2015-03"), (SNAPSHOTS, "2015-04")}
    assert sources(row("top_mcc_shift"), month, settings) == {
        (SNAPSHOTS, "2015-03"), (TRANSACTIONS, "2015-03"), (TRANSACTIONS, "2015-04"),
    }  # fmt: skip
    first = settings.dataset.raw_months.first
    assert sources(row("churn_signal"), first + 1, settings) == {(SNAPSHOTS, (first + k).key) for k in range(3)}
    longer = settings.model_copy(update={"horizon_months": 3})
    assert sources(row("next_mcc"), month, longer) - {(SNAPSHOTS, "2015-03")} == {
        (TRANSACTIONS, f"2015-0{k}") for k in (4, 5, 6)
    }


def test_what_several_tasks_read_reaches_from_the_first_month_of_any_to_the_last() -> None:
    assert months_read(TASKS, SNAPSHOTS, 1) == (-5, 1)
    assert months_read(TASKS, TRANSACTIONS, 3) == (-2, 3)
    held = [task for task in TASKS if HELD in task.inputs and task.name != "churn_signal"]
    assert months_read(held, SNAPSHOTS, 1) == (0, 1)
    assert months_read(held, TRANSACTIONS, 1) is None


def test_the_page_of_tasks_is_up_to_date() -> None:
    page = render(build_tasks(load_settings("synthetic", "demo")))
    assert TARGET.read_text(encoding="utf-8") == page, "run python -m finai_assets.labels.tasks_page"
