"""The pages of Great Expectations tell of every table and month, and of what failed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from finai_checks.contract.data_docs import write_data_docs
from finai_checks.framework.small_lake import SmallLake


@pytest.mark.slow
def test_the_pages_tell_of_each_table_of_a_month_and_show_a_broken_one(tmp_path: Path) -> None:
    small = SmallLake.build(tmp_path / "lake")
    good, bad = small.platform.splits.train[:2]
    table = small.lake.read("raw/snapshots", bad.key)
    small.rewrite("raw/snapshots", bad.key, pa.concat_tables([table, table.slice(0, 1)]))
    index = write_data_docs(small.session, small.settings, [good, bad], tmp_path / "docs")
    text = index.read_text(encoding="utf-8")
    for table_name in ("snapshots", "transactions", "snapshots schema"):
        for month in (good, bad):
            assert f"{table_name} {month}" in text
    pages = {page.parent.parent.parent.name: page for page in index.parent.rglob("validations/**/*.html")}
    broken = pages[f"snapshots {bad}"].read_text(encoding="utf-8")
    whole = pages[f"snapshots {good}"].read_text(encoding="utf-8")
    assert "unexpected values found" in broken  # a customer stands there twice
    assert "unexpected values found" not in whole
