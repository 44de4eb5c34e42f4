from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import OTHER, TASK

from finai_assets.source import reached
from finai_resources.errors import ConfigError, GateError
from studies.teacher.study import RUN, Study, sample
from studies.teacher.variants import variants


@pytest.fixture(scope="module")
def reference(planted):
    return variants(planted.settings, (TASK, OTHER))[0]


def again(study, **changed):
    given = {"matrix": study.matrix, "settings": study.settings, "content": study.content, "customers": None, **changed}
    return Study.of(given["matrix"], study.registry, given["settings"], content=given["content"],
                    customers=given["customers"])  # fmt: skip


def test_a_sample_takes_whole_customers_out_of_train_and_leaves_validation_and_test(planted):
    customers = np.tile(np.arange(200), 4)  # each customer in train twice, in validation and in test
    matrix = replace(
        planted.matrix,
        customer=customers,
        split=np.repeat(["train", "train", "validation", "test"], 200),
        month=np.repeat(["2015-01", "2015-02", "2015-05", "2015-07"], 200),
    )

    def learned(matrix, count, seed=5):
        found = sample(matrix, count, seed=seed)
        return set(found.customer[found.rows("train")].tolist())

    found = sample(matrix, 30, seed=5)
    kept = learned(matrix, 30)
    assert len(kept) == 30
    rows = {split: found.rows(split).stop - found.rows(split).start for split in ("train", "validation", "test")}
    assert rows == {"train": 60, "validation": 200, "test": 200}
    at = np.flatnonzero((matrix.split != "train") | np.isin(matrix.customer, list(kept)))
    np.testing.assert_array_equal(found.customer, matrix.customer[at])
    np.testing.assert_array_equal(found.X, matrix.X[at])
    np.testing.assert_array_equal(found.side, matrix.side[at])
    np.testing.assert_array_equal(found.labels[TASK], matrix.labels[TASK][at])
    assert learned(matrix, 20) < kept, "a smaller sample lies in a larger one"
    assert learned(matrix, 30, seed=6) != kept
    assert sample(matrix, 200, seed=5) is matrix
    assert learned(replace(matrix, customer=matrix.customer[::-1]), 30) == kept, "whatever the order of rows"


def test_a_run_is_named_by_rows_settings_seed_and_source(planted, reference, monkeypatch):
    name = planted.fingerprint(reference, 0)
    assert again(planted).fingerprint(reference, 0) == name
    settings = planted.settings
    longer = settings.model_copy(update={"teacher": settings.teacher.model_copy(update={"epochs": 9})})
    finer = settings.model_copy(update={"ablation": settings.ablation.model_copy(update={"resamples": 41})})
    fewer = replace(planted.matrix, tasks=planted.matrix.tasks[:1])
    others = [
        planted.fingerprint(reference, 1),
        *(planted.fingerprint(variant, 0) for variant in variants(settings, (TASK, OTHER))[1:]),
        again(planted, content="another").fingerprint(reference, 0),
        again(planted, settings=longer).fingerprint(reference, 0),
        again(planted, settings=finer).fingerprint(reference, 0),
        again(planted, matrix=fewer).fingerprint(reference, 0),
        again(planted, customers=50).fingerprint(reference, 0),
        again(planted, customers=51).fingerprint(reference, 0),
    ]
    monkeypatch.setattr("studies.teacher.study.code_version", lambda _start: "another source")
    others.append(planted.fingerprint(reference, 0))
    assert len({name, *others}) == len(others) + 1


def test_the_source_behind_a_run_is_what_it_imports_and_not_how_it_is_told():
    modules = {module for module, _ in reached(RUN)}
    teacher = "finai_assets.teacher"
    assert {
        f"{teacher}.train", f"{teacher}.fitting.loop", f"{teacher}.fitting.steps", f"{teacher}.fitting.losses",
        f"{teacher}.network.cgc", f"{teacher}.network.experts.perslay", f"{teacher}.network.experts.sequence.liquid",
        f"{teacher}.normalise_kernels", f"{teacher}.fitting.surgery", "finai_assets.scoring.metrics",
        "finai_assets.scoring.rank_kernels", "finai_assets.features.sampling", "studies.teacher.runs", "studies.teacher.skill",
    } <= modules  # fmt: skip
    assert not modules & {f"studies.teacher.{name}" for name in ("compare", "claims", "findings", "ablation_page")}
    assert not modules & {"finai_assets.evaluation.comparison", "finai_assets.settings.load"}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_task_that_a_split_cannot_carry_is_left_out_and_said(planted, split):
    label = planted.matrix.labels[TASK].copy()
    label[planted.matrix.rows(split)] = 1
    blank = replace(planted.matrix, labels={**planted.matrix.labels, TASK: label})
    study = again(planted, matrix=blank)
    assert [task.name for task in study.matrix.tasks] == [OTHER]
    assert study.left_out == {TASK: f"its {split} labels have 1 different values"}
    assert study.facts()["left_out"] == study.left_out
    with pytest.raises(GateError, match="no task"):
        again(planted, matrix=replace(blank, tasks=tuple(t for t in blank.tasks if t.name == TASK)))


def test_rows_that_a_seed_would_choose_among_are_refused(planted):
    settings = planted.settings
    small = settings.model_copy(update={"teacher": settings.teacher.model_copy(update={"max_train_rows": 100})})
    with pytest.raises(ConfigError, match=r"480 train rows[^\n]*\n.*--customers"):
        again(planted, settings=small)
    assert again(planted, settings=small, customers=50).matrix.rows("train").stop <= 100


def test_the_facts_tell_rows_months_and_customers(planted):
    facts = planted.facts()
    assert facts["rows"] == {"train": 480, "validation": 160, "test": 160}
    assert facts["months"]["test"] == ["2015-07"]
    assert (facts["customers"], facts["test_customers"]) == (240, 80)
