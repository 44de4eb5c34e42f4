"""C14: a model that reads what it must not know of a customer is found by name, by lineage, by content and by its answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.features.registry import build_registry
from finai_assets.settings import Settings, load_settings
from finai_assets.teacher.layout import WITHHELD, layout_of
from finai_assets.training.matrix import TrainingMatrix
from finai_checks.fairness.prohibited_inputs import prohibited, prohibited_inputs_absent, read_by_teacher
from finai_checks.fairness.protected import ASSET, Attribute, Carrier, carriers, protected_rows
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

N = 400


@pytest.mark.parametrize("dataset", ["synthetic", "berka"])
def test_every_column_that_policy_denies_is_withheld_and_no_other(dataset: str) -> None:
    settings = load_settings(dataset, "smoke")
    registry = build_registry(settings)
    declared = {column.name: column.inputs for column in registry.columns}
    denied = prohibited(registry.names, declared, {}, settings.checks.prohibited_inputs)
    assert denied == ["gender_code"]
    assert [name for name in registry.names if settings.inputs.withholds(name)] == denied


def test_no_expert_is_routed_to_a_withheld_column_and_to_every_other_of_its_group(settings: Settings) -> None:
    registry = build_registry(settings)
    layout = layout_of(registry, settings.model_copy(
        update={"teacher": settings.teacher.model_copy(update={"routing": {}, "experts": ()})}), registry.names)  # fmt: skip
    assert layout.groups[layout.columns.index("gender_code")] == WITHHELD
    read = read_by_teacher(layout, settings.teacher)
    assert "gender_code" not in read
    assert {"age", "segment_code", "country_code"} <= set(read)


def attribute(values: np.ndarray, name: str = "gender") -> Attribute:
    return Attribute(name, tuple(str(k) for k in range(int(values.max()) + 1)), values)


def found(column: np.ndarray, *attributes: Attribute, one_to_one: float = 0.9) -> list[Carrier]:
    return carriers(column.astype(np.float32)[:, None], ["c"], attributes, one_to_one=one_to_one)


def test_any_coding_of_an_attribute_is_found_and_what_only_goes_with_it_is_not() -> None:
    rng = np.random.default_rng(1)
    gender = rng.integers(0, 2, N)
    assert found(5 - 2.5 * gender, attribute(gender))[0].both_ways == 1
    assert found(np.where(gender == 1, np.nan, 0.0), attribute(gender))
    assert not found(gender + rng.normal(0, 0.01, N), attribute(gender))  # finer than the attribute: a matter of C15
    assert not found(np.where(rng.random(N) < 0.3, 1 - gender, gender), attribute(gender))
    assert not found(np.zeros(N), attribute(gender))


def test_a_rare_attribute_is_not_found_in_a_column_that_is_nearly_constant() -> None:
    rare = (np.arange(N) < 12).astype(np.int64)
    assert not found(np.arange(N) >= N - 12, attribute(rare))
    assert found(rare * 9, attribute(rare))


def test_customers_whose_attribute_is_unknown_say_nothing() -> None:
    rng = np.random.default_rng(2)
    gender = rng.integers(0, 2, N)
    told = np.where(rng.random(N) < 0.5, -1, gender)
    assert found(np.where(told < 0, 1 - gender, gender), attribute(told))
    assert not found(gender, attribute(np.full(N, -1)))


def test_one_group_of_several_is_named() -> None:
    region = np.arange(N) % 3
    carrier = found((region == 2) * 1, attribute(region, "region"))[0]
    assert (carrier.attribute, carrier.group) == ("region", "2")


def test_attributes_are_joined_by_customer_whatever_their_order_and_strangers_are_unknown(lake: Lake) -> None:
    with lake.write(ASSET, "2015-02") as out:
        out.write(pa.table({"customer_id": [9, 3, 5], "gender": ["M", None, "F"], "region": ["b", "a", "b"]}))
    customer = np.array([3, 5, 3, 5, 7, 9])
    matrix = TrainingMatrix(
        X=np.zeros((6, 1), np.float32), customer=customer, month=np.array(["2015-01"] * 2 + ["2015-02"] * 4),
        split=np.full(6, "train"), labels={}, persistence={}, columns=("c",), tasks=(),
    )  # fmt: skip
    known = protected_rows(LakeSession(lake), matrix, customers=100, seed=1)
    assert known.customer.tolist() == [3, 5, 7, 9]
    gender, region = known.attributes
    assert gender.groups == ("F", "M")
    assert gender.codes.tolist() == [-1, 0, -1, 1]
    assert region.codes.tolist() == [0, 1, -1, 1]
    fewer = protected_rows(LakeSession(lake), matrix, customers=2, seed=1)
    assert len(fewer.rows) == 2
    assert set(fewer.customer) <= set(known.customer)


def test_what_policy_permits_is_listed_with_its_reason(settings: Settings) -> None:
    policy = settings.checks.prohibited_inputs
    carried = {"age_group_code": [Carrier("age_group_code", "age_band", None, 0.95)]}
    outcome = prohibited_inputs_absent(["age_group_code"], {"age_group_code": ()}, carried, policy=policy)
    assert outcome.passed
    assert "suitability" in outcome.table[0]["permitted"]
    strict = policy.model_copy(update={"permitted": {}})
    assert not prohibited_inputs_absent(["age_group_code"], {"age_group_code": ()}, carried, policy=strict).passed


def test_a_column_with_several_faults_tells_all_of_them(settings: Settings) -> None:
    outcome = prohibited_inputs_absent(
        ["gender_code"],
        {"gender_code": ("raw/snapshots.gender",)},
        {"gender_code": [replace(Carrier("gender_code", "gender", None, 1.0))]},
        policy=settings.checks.prohibited_inputs,
    )
    for part in ("has the name of gender", "made from raw/snapshots.gender", "under another name"):
        assert part in outcome.reason


def test_the_names_of_products_and_merchants_are_no_denied_traits(settings: Settings) -> None:
    trait = settings.checks.prohibited_inputs.trait
    assert trait("held_health_insurance") is None
    assert trait("country_code") is None
    assert (trait("customer_gender"), trait("SEX"), trait("성별_코드")) == ("gender", "gender", "gender")
    assert (trait("disability_grade"), trait("religion"), trait("nationality_code")) == (
        "disability",
        "belief",
        "origin",
    )
