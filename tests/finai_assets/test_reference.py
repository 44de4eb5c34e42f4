from __future__ import annotations

import pytest

from finai_assets.reference import module_of, resolve
from finai_resources.errors import ConfigError


def test_a_reference_leads_to_what_it_names() -> None:
    assert resolve("finai_assets.reference:module_of") is module_of
    assert module_of("finai_assets.reference:module_of") == "finai_assets.reference"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("finai_assets.reference", "names no function"),
        ("finai_assets.nowhere:f", "No module named 'finai_assets.nowhere'"),
        ("finai_assets.reference:f", "has no attribute 'f'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_with_the_way_out(reference: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        resolve(reference)
    assert reference in str(error.value)
