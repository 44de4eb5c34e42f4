"""The reference of columns is what the registry says."""

from __future__ import annotations

from finai_assets.features.document import TARGET, reference_text


def test_the_reference_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == reference_text(), "run python -m finai_assets.features.document"


def test_the_reference_names_every_group_and_the_totals() -> None:
    text = reference_text()
    assert "1,211 columns in 17 groups, 928 of them built" in text
    assert "`lag_amount_000` … `lag_amount_199` (200)" in text
    assert "## gmm_clustering" in text
