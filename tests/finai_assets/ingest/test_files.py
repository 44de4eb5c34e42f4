"""The folder of a source, and the hash of its schema."""

from __future__ import annotations

import pytest

from finai_assets.ingest.files import schema_hash, source_folder
from finai_resources.errors import ConfigError


def test_a_source_that_is_not_named_or_not_there_says_how_to_name_it(tmp_path):
    for source in (None, str(tmp_path / "nowhere")):
        with pytest.raises(ConfigError, match=r"--source FOLDER.*FINAI_SOURCE"):
            source_folder(source)
    assert source_folder(str(tmp_path)) == tmp_path


def test_the_schema_hash_ignores_order_and_sees_every_change():
    one = {"loan": {"id": "int64", "date": "int64"}, "card": {"id": "int64"}}
    turned = {"card": {"id": "int64"}, "loan": {"date": "int64", "id": "int64"}}
    assert schema_hash(one) == schema_hash(turned)
    changed = [
        {**one, "loan": {"id": "int64", "date": "string"}},
        {**one, "loan": {"id": "int64"}},
        {**one, "loan": {**one["loan"], "x": "int64"}},
    ]
    assert len({schema_hash(one), *map(schema_hash, changed)}) == 4
