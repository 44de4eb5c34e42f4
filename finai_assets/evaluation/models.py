"""The models that an evaluation compares: their names, and a sentence about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

TEACHER, PRIOR, PERSISTENCE, CEILING = "teacher", "prior", "persistence", "ceiling"
LIGHTGBM_RAW, LIGHTGBM_ALL, SHARED_BOTTOM = "lightgbm_raw", "lightgbm_all", "shared_bottom"

# In the order of tables: from the least informed model to the best informed.
MODELS = (PRIOR, PERSISTENCE, LIGHTGBM_RAW, LIGHTGBM_ALL, SHARED_BOTTOM, TEACHER, CEILING)
LEARNED_BASELINES = (LIGHTGBM_RAW, LIGHTGBM_ALL, SHARED_BOTTOM)  # the teacher must beat these to be worth its cost


@dataclass(frozen=True, slots=True)
class About:
    """A model's name in tables, and its description in one sentence."""

    title: str
    what: str


ABOUT: Mapping[str, About] = MappingProxyType(
    {
        PRIOR: About(
            "prior",
            "says the average of train to every customer: the prevalence, the class frequencies, or the mean",
        ),
        PERSISTENCE: About(
            "persistence",
            "says that things stay as they are: what followed the customer's current class in train, or the current value",
        ),
        LIGHTGBM_RAW: About(
            "LightGBM raw",
            "gradient-boosted trees on the raw scalar columns alone; one model for each task, stopped on validation",
        ),
        LIGHTGBM_ALL: About(
            "LightGBM all",
            "gradient-boosted trees on every column that models may read; one model for each task, stopped on validation",
        ),
        SHARED_BOTTOM: About(
            "shared bottom",
            "a plain multi-task network of the teacher's size, trained as the teacher is: one perceptron over the whole row, "
            "a tower for each task",
        ),
        TEACHER: About(
            "teacher",
            "the PLE network: named experts, an expert for each task, and gates; one model for all tasks",
        ),
        CEILING: About(
            "ceiling",
            "the generator's true probabilities, which follow from a hidden state of each customer that no table shows: no "
            "model that sees the tables can reach it",
        ),
    }
)
