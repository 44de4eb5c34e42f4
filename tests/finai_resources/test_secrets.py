"""Keys come from the environment or a private file; there is no default, and no value is ever printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from finai_resources.errors import SecretError
from finai_resources.secrets import DEMO_PSEUDONYM_KEY, SecretStore


def test_a_key_is_made_at_random_once_and_kept_private(tmp_path: Path) -> None:
    first = SecretStore(tmp_path).key("signing")
    assert SecretStore(tmp_path).key("signing") == first
    assert SecretStore(tmp_path / "other").key("signing") != first
    assert first != DEMO_PSEUDONYM_KEY
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINAI_SIGNING_KEY", "ab" * 32)
    assert SecretStore(tmp_path).key("signing") == b"\xab" * 32
    assert not (tmp_path / "secrets.json").exists()


@pytest.mark.parametrize("value", ["ab" * 8 + "zz", "abcd"])
def test_an_unusable_key_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FINAI_SIGNING_KEY", value)
    with pytest.raises(SecretError) as raised:
        SecretStore(tmp_path).key("signing")
    assert value not in str(raised.value)
    assert "FINAI_SIGNING_KEY" in str(raised.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.key("signing")
    store.path.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        store.key("signing")


def test_a_key_that_is_put_is_stored_privately_under_its_name_and_never_replaced(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    assert store.names("person_") == []
    store.put("person_kim", bytes(range(32)))
    store.put("other", bytes(32))
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert SecretStore(tmp_path).key("person_kim") == bytes(range(32))
    assert store.names("person_") == ["person_kim"]
    with pytest.raises(SecretError, match="there is a key of that name"):
        store.put("person_kim", bytes(32))
    assert store.key("person_kim") == bytes(range(32))
