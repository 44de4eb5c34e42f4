"""C01 is silent on thousands of bundles like a real one, and finds every identifier that is planted into one."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from benchmarks.identifiers import FORMS, IDENTIFIERS, Shape, alarms, missed, plant, scan, upper_bound

BUNDLES, PLANTED = 2_000, 2_000
THIRTEEN = re.compile(r"(?<!\d)\d{6}[1-8]\d{6}(?!\d)")


@pytest.fixture(scope="module")
def shape(bundle_files: dict[str, bytes]) -> Shape:
    return Shape.of(bundle_files)


def test_no_random_bundle_alarms(shape: Shape) -> None:
    found = alarms(shape, BUNDLES, random.Random(1))
    assert (found["kinds"], found["fixed"]) == ({}, [])
    assert found["upper"] < 0.002


def test_every_planted_identifier_is_found(shape: Shape) -> None:
    assert missed(shape, PLANTED, random.Random(2)) == []


def test_the_decimals_of_a_models_trees_hold_nobody(shape: Shape) -> None:
    chance = random.Random(3)
    lines = [line for _ in range(200) for line in shape.draw_tree(chance).splitlines() if "." in line]
    assert len(lines) > 500
    assert scan({("elsewhere.json", (number,)): line for number, line in enumerate(lines)}) == []


def test_the_bundles_hold_what_would_pass_for_identifiers(shape: Shape) -> None:
    chance = random.Random(3)
    drawn = [text for _ in range(100) for text in shape.draw(chance).values()]
    assert sum(THIRTEEN.search(text) is not None for text in drawn) > 10
    assert len({text for text in drawn if len(text) == 64}) > 100 * 15  # a hash for each of 17 files
    digits = chance.choice([text for text in drawn if THIRTEEN.search(text)])
    assert scan({("elsewhere.json", ("x",)): f"{digits} 900101-1234567"})


def test_each_kind_of_identifier_is_planted_into_files_digests_and_other_forms(shape: Shape) -> None:
    chance = random.Random(4)
    kinds: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for _ in range(400):
        texts = shape.draw(chance)
        planted, kind, _ = plant(texts, chance)
        kinds[kind] += 1
        (changed,) = [place for place in planted if planted[place] != texts[place]]
        files[changed[0]] += 1
    assert set(kinds) == set(IDENTIFIERS)
    assert {"manifest.json", "signature.json", "elsewhere.json"} <= set(files)
    assert len(FORMS) == 15


def test_the_bound_is_three_over_n_where_nothing_happened() -> None:
    assert upper_bound(0, 10_000) == pytest.approx(3e-4, rel=0.01)
    assert upper_bound(3, 3) == 1
