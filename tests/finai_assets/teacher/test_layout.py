"""Which groups reach the network: one that no expert reads is an error, unless the configuration says why."""

from __future__ import annotations

import pytest
from panel import small_settings

from finai_assets.features.registry import Registry
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.layout import Layout, layout_of, require_readers
from finai_assets.teacher.train import prepare
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import ConfigError


@pytest.fixture(scope="module")
def layout(registry: Registry, small: Settings, panel: TrainingMatrix) -> Layout:
    return layout_of(registry, small, panel.columns, panel.tensors)


@pytest.fixture(scope="module")
def seven() -> TeacherSettings:
    """The configured experts."""
    return load_settings("synthetic", "smoke").teacher


def rerouted(teacher: TeacherSettings, **update: object) -> TeacherSettings:
    """Return settings in which no expert reads ``hmm_states`` or ``gmm_clustering``."""
    gone = {"hmm_states", "gmm_clustering"}
    routing = {name: tuple(g for g in groups if g not in gone) for name, groups in teacher.routing.items()}
    return teacher.model_copy(update={"routing": routing, **update})


def test_the_configured_experts_read_every_group(layout: Layout, registry: Registry, seven: TeacherSettings) -> None:
    require_readers(layout, registry, seven)
    assert seven.unread_groups == {}
    assert seven.read_groups == set(layout.groups) - {"withheld"}


def test_a_group_that_no_expert_reads_is_named(layout: Layout, registry: Registry, seven: TeacherSettings) -> None:
    with pytest.raises(ConfigError, match=r"no expert of the teacher reads gmm_clustering, hmm_states") as raised:
        require_readers(layout, registry, rerouted(seven))
    assert "teacher.routing" in str(raised.value)
    assert "teacher.unread_groups" in str(raised.value)


def test_a_group_that_is_listed_with_a_reason_may_be_unread(
    layout: Layout, registry: Registry, seven: TeacherSettings
) -> None:
    reason = "its columns are tried by the students alone"
    require_readers(
        layout, registry, rerouted(seven, unread_groups=dict.fromkeys(("gmm_clustering", "hmm_states"), reason))
    )
    with pytest.raises(ConfigError, match=r"reads hmm_states\n"):
        require_readers(layout, registry, rerouted(seven, unread_groups={"gmm_clustering": reason}))


def test_the_route_of_an_expert_that_is_left_out_reads_nothing(
    layout: Layout, registry: Registry, seven: TeacherSettings
) -> None:
    rest = tuple(name for name in seven.experts if name != "perslay")
    with pytest.raises(ConfigError, match="tda_global, tda_local"):
        require_readers(layout, registry, seven.model_copy(update={"experts": rest}))


def test_an_unread_group_must_exist(layout: Layout, registry: Registry, seven: TeacherSettings) -> None:
    typo = seven.model_copy(update={"unread_groups": {"hmm_state": "a group with a wrong name"}})
    with pytest.raises(ConfigError, match=r"unknown groups \['hmm_state'\]"):
        require_readers(layout, registry, typo)


def test_a_training_does_not_begin_with_an_unread_group(panel: TrainingMatrix, registry: Registry) -> None:
    with pytest.raises(ConfigError, match="merchant_hierarchy"):
        prepare(panel, registry, panel.tasks, small_settings(unread_groups={}))
