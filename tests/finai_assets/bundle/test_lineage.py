"""Lineage of an asset: every content that it was made from, as far as the manifests tell."""

from __future__ import annotations

import pytest

from finai_assets.bundle.lineage import lineage_of
from finai_resources.errors import LakeError
from finai_resources.lake import Lake


def write(lake: Lake, asset: str, content: bytes, *upstream: str, month: str | None = None) -> None:
    read = {}
    for name in upstream:
        path, _, key = name.partition("@")
        read[name] = lake.manifest(path, key or None).content_hash
    with lake.write(asset, month, upstream=read) as out:
        out.put("x.bin", content)


@pytest.fixture
def chain(lake: Lake) -> Lake:
    write(lake, "raw/t", b"1", month="2015-01")
    write(lake, "raw/t", b"2", month="2015-02")
    write(lake, "matrix/m", b"m", "raw/t@2015-01")
    write(lake, "model/s", b"s", "matrix/m")
    write(lake, "report/e", b"e", "raw/t@2015-02")
    return lake


def test_it_follows_the_manifests_to_the_first_source(chain: Lake) -> None:
    found = lineage_of(chain, "model/s")
    assert set(found) == {"model/s", "matrix/m", "raw/t@2015-01"}
    assert found["raw/t@2015-01"] == chain.manifest("raw/t", "2015-01").content_hash


def test_an_asset_that_stands_beside_it_brings_its_own_lineage(chain: Lake) -> None:
    found = lineage_of(chain, "model/s", ["report/e"])
    assert {"report/e", "raw/t@2015-02"} < set(found)
    with pytest.raises(LakeError, match="not been written"):
        lineage_of(chain, "model/s", ["report/absent"])


def test_a_source_that_has_changed_is_listed_as_it_was_read_and_not_followed(chain: Lake) -> None:
    read = chain.manifest("matrix/m").content_hash
    write(chain, "matrix/m", b"another", "raw/t@2015-02")
    found = lineage_of(chain, "model/s")
    assert found["matrix/m"] == read != chain.manifest("matrix/m").content_hash
    assert set(found) == {"model/s", "matrix/m"}
