"""Who the customer is: age, income, tenure, and codes of categories.

Medians, income quantiles and the ranks of categories are fitted on train rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.inputs import AGE, CHANNEL, COUNTRY, GENDER, HELD, INCOME, IS_ACTIVE, SEGMENT, TENURE
from finai_assets.features.registry import Column, Params
from finai_assets.ingest.derive import has_input

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings

CATEGORIES = {"gender": "성별", "segment": "고객 등급", "country": "국가", "channel": "가입 채널"}
_INPUT = {"gender": GENDER, "segment": SEGMENT, "country": COUNTRY, "channel": CHANNEL}
_BY_AGE = "imputed by the train median within the age group"
_UNSEEN = "0 = missing or unseen in train"


def columns(settings: Settings) -> tuple[Column, ...]:  # the signature is that of every group
    """Return the eleven columns."""
    group = "demographics"
    age = (AGE,) if has_input(AGE, settings.dataset) else ()  # without it the train median is that of all customers
    return (
        Column("age", group, "continuous", "years", "Age at the snapshot", "나이", (AGE,), None, "train",
               "imputed by the train median", low=0, high=130, pii=True),
        Column("income", group, "continuous", "KRW", "Yearly income", "연 소득", (INCOME, *age), None, "train", _BY_AGE,
               low=0, pii=True),
        Column("tenure_months", group, "continuous", "months", "Months since the customer joined", "거래 기간",
               (TENURE, *age), None, "train", _BY_AGE, low=0),
        Column("num_products", group, "count", "1", "Products held at the snapshot", "보유 상품 수", (HELD,), None, "none",
               "never missing", low=0),
        Column("is_active", group, "binary", "1", "Whether the customer is active", "활동 고객 여부", (IS_ACTIVE,), None,
               "none", "nan", low=0, high=1),
        *(
            Column(f"{name}_code", group, "code", "1", f"Code of the {name} by train frequency", korean, (_INPUT[name],),
                   None, "train", _UNSEEN, low=0, pii=name in ("gender", "country"))
            for name, korean in CATEGORIES.items()
        ),
        Column("age_group_code", group, "code", "1", "Code of the age group by train frequency", "연령대", (AGE,), None,
               "train", _UNSEEN, low=0, pii=True),
        Column("income_group_code", group, "code", "1", "Code of the income quantile group by train frequency", "소득 구간",
               (INCOME,), None, "train", _UNSEEN, low=0, pii=True),
    )  # fmt: skip


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Fit medians, income edges and the rank of each category on train rows.

    Returns
    -------
    dict
        ``<name>_values``: categories by descending frequency (ties in ascending order); ``age_median`` [1];
        ``income_median`` and ``tenure_median`` [age groups + 1], the first for an unknown age;
        ``income_edges`` [quantiles - 1]; ``age_group_values`` and ``income_group_values``: group numbers by frequency.
    """
    params: dict[str, np.ndarray] = {}
    for name in CATEGORIES:
        params[f"{name}_values"] = _by_frequency(
            np.array([v for block in blocks for v in block.snapshot[name].drop_null().to_pylist()], dtype=np.str_)
        )
    age = np.concatenate([_floats(block, "age") for block in blocks])
    income = np.concatenate([_floats(block, "income") for block in blocks])
    tenure = np.concatenate([_floats(block, "tenure_months") for block in blocks])
    groups = _age_group(age, settings)
    count = len(_bins(settings)) + 1
    params["age_median"] = np.array([_median(age)])
    params["income_median"] = _medians_within(income, groups, count)
    params["tenure_median"] = _medians_within(tenure, groups, count)
    known = income[~np.isnan(income)]
    steps = np.arange(1, _quantiles(settings)) / _quantiles(settings)
    params["income_edges"] = np.quantile(known, steps) if len(known) else np.full(len(steps), np.nan)
    params["age_group_values"] = _by_frequency(groups[groups > 0])
    income_groups = _income_group(income, params["income_edges"])
    params["income_group_values"] = _by_frequency(income_groups[income_groups > 0])
    return params


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, 11]."""
    out = np.empty((len(block), 11), np.float32, order="F")
    age, income, tenure = _floats(block, "age"), _floats(block, "income"), _floats(block, "tenure_months")
    group = _age_group(age, settings)
    out[:, 0] = np.where(np.isnan(age), params["age_median"][0], age)
    out[:, 1] = np.where(np.isnan(income), params["income_median"][group], income)
    out[:, 2] = np.where(np.isnan(tenure), params["tenure_median"][group], tenure)
    out[:, 3] = block.held[:, -1].sum(axis=1)
    out[:, 4] = _floats(block, "is_active")
    for position, name in enumerate(CATEGORIES, start=5):
        out[:, position] = _rank_of_text(block.snapshot[name], params[f"{name}_values"])
    out[:, 9] = _rank_of_number(group, params["age_group_values"])
    out[:, 10] = _rank_of_number(_income_group(income, params["income_edges"]), params["income_group_values"])
    return out


def _bins(settings: Settings) -> tuple[int, ...]:
    return settings.feature_groups.demographics.age_bins


def _quantiles(settings: Settings) -> int:
    return settings.feature_groups.demographics.income_quantiles


def _floats(block: Block, name: str) -> np.ndarray:
    """Return a column of the snapshot as float64, null as NaN."""
    return np.asarray(pc.cast(block.snapshot[name], pa.float64()).to_numpy(), dtype=np.float64)


def _age_group(age: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the number of the age bin from 1 on; 0 where the age is unknown."""
    return np.where(np.isnan(age), 0, np.maximum(1, np.searchsorted(_bins(settings), age, side="right")))


def _income_group(income: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the number of the income quantile group from 1 on; 0 where the income is unknown."""
    return np.where(np.isnan(income), 0, 1 + np.searchsorted(edges, income, side="right"))


def _by_frequency(values: np.ndarray) -> np.ndarray:
    found, counts = np.unique(values, return_counts=True)
    return found[np.lexsort((np.arange(len(found)), -counts))]


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _medians_within(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Return the median within each group; the overall one where a group has no known value."""
    overall = _median(values)
    within = [_median(values[groups == group]) for group in range(count)]
    return np.array([overall if np.isnan(value) else value for value in within])


def _rank_of_text(values: pa.ChunkedArray, known: np.ndarray) -> np.ndarray:
    ranks = pc.index_in(values, value_set=pa.array(known.tolist(), values.type), skip_nulls=True)
    return np.asarray(pc.add(pc.fill_null(ranks, -1), 1).to_numpy())


def _rank_of_number(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return 1 + the position of each small whole number in ``known``, 0 where it is not there."""
    table = np.zeros(int(max(known.max(initial=0), values.max(initial=0))) + 1, np.int64)
    table[known] = 1 + np.arange(len(known))
    return table[values]
