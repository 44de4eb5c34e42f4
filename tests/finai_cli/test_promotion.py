"""The commands of promotion, from a key to a rollback, as two people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bundle_fixtures import KEY, made  # noqa: F401
from promotion_fixtures import KIM, LEE, Office, office, promotion_settings, retrained  # noqa: F401
from typer.testing import CliRunner

from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext
from finai_checks.framework.run import run_check
from finai_cli import promotion_commands
from finai_cli.main import app
from finai_resources.errors import PromotionError, SecretError
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore

Finai = Callable[..., Any]


@pytest.fixture
def finai(office: Office, monkeypatch: pytest.MonkeyPatch) -> Finai:  # noqa: F811
    """Return what runs a command in the office's home, where C13 is mandatory; JSON comes back parsed."""
    office.settings = promotion_settings(office.settings, mandatory=["C13", "C99"])
    monkeypatch.setenv("FINAI_SIGNING_KEY", KEY.hex())
    monkeypatch.setenv("FINAI_HOME", str(office.home))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FINAI_PERSON_KEY", raising=False)

    def platform(*_: Any) -> Platform:
        return Platform.of(office.settings, SecretStore(office.home))

    monkeypatch.setattr(promotion_commands, "chosen_platform", platform)
    [gap] = [check for check in declared_checks(platform()) if check.name == "gap_split"]
    run_check(gap, CheckContext(LakeSession(office.lake), platform()))

    def run(*arguments: str, code: int = 0) -> Any:
        ended = CliRunner().invoke(app, list(arguments))
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        assert ended.exit_code == code, ended.output
        return json.loads(ended.stdout) if "--json" in arguments else ended.output

    return run


def test_from_a_proposal_to_a_champion_and_back(office: Office, finai: Finai) -> None:  # noqa: F811
    for signer in (KIM, LEE):
        SecretStore(office.home).put(f"person_{signer.name}", signer.private)
    tried = finai("promote", "--dry-run", "--json", code=1)
    assert (tried["codes"], tried["awaited"]) == (["PROPOSAL_MISSING"], ["C99"])
    assert "waiting" in finai("promote", "--as", "kim", code=1)
    with pytest.raises(PromotionError, match="OWN_APPROVAL"):
        finai("approve", "challenger", "--as", "kim")
    assert "approved" in finai("approve", "challenger", "--as", "lee")
    assert "would be promoted" in finai("promote", "--dry-run")
    assert "is champion" in finai("promote", "--as", "kim")
    [first] = finai("bundles", "list", "--json")
    assert first["aliases"] == ["challenger", "champion"]

    office.store(retrained(office.made, lambda y: y * 3, "churn_signal", "product_stability"))
    finai("promote", "--as", "kim", code=1)
    finai("approve", "challenger", "--as", "lee")
    second = finai("promote", "--as", "kim", "--json")
    assert second["promoted"]
    assert {row["task"] for row in second["comparison"] if row["verdict"] == "better"} >= {"churn_signal"}

    told = finai("bundles", "diff", "champion", "previous", "--json")
    assert (told["new"], told["old"]) == (second["bundle"], first["bundle"])
    assert "models/churn_signal.txt" in told["files_changed"]
    assert {row["task"] for row in told["shifts"] if (row["psi"] or 0) > 0} == {"churn_signal", "product_stability"}
    assert "churn_signal" in finai("bundles", "diff", "champion", "previous")

    aliases = finai("rollback", "--as", "lee", "--reason", "it answers nonsense since noon", "--json")
    assert aliases["champion"] == first["bundle"]
    shown = finai("bundles", "show", "champion", "--json")
    assert shown["bundle"] == first["bundle"]
    assert shown["faults"] == []
    assert [entry["what"] for entry in shown["history"]][-1] == "rollback by lee"
    assert "will_acquire_deposits" in finai("bundles", "show", first["bundle"][:8])
    assert first["bundle"] in finai("bundles", "list")


def test_with_auto_promote_the_last_signature_promotes(office: Office, finai: Finai) -> None:  # noqa: F811
    for signer in (KIM, LEE):
        SecretStore(office.home).put(f"person_{signer.name}", signer.private)
    office.settings = promotion_settings(office.settings, mandatory=["C13"], auto_promote=True)
    finai("promote", "--as", "kim", code=1)
    assert finai("approve", "challenger", "--as", "lee", "--json")["promoted"]


def test_a_key_is_made_stored_for_its_owner_alone_and_never_made_over(office: Office, finai: Finai) -> None:  # noqa: F811
    made_key = finai("keys", "new", "choi", "--json")
    assert SecretStore(office.home).path.stat().st_mode & 0o777 == 0o600
    private = SecretStore(office.home).key("person_choi").hex()
    assert private not in json.dumps(made_key)
    with pytest.raises(SecretError, match="there is a key of that name"):
        finai("keys", "new", "choi")
    with pytest.raises(SecretError, match="no name of a person"):
        finai("keys", "new", "Choi Min")
    listed = {row["name"]: row for row in finai("keys", "list", "--json")}
    assert (listed["choi"]["configured"], listed["kim"]["configured"]) == (False, True)
    assert "not in promotion.people" in finai("keys", "list")
    with pytest.raises(PromotionError, match="UNKNOWN_KEY"):
        finai("promote", "--as", "choi")


def test_the_printed_key_is_what_the_configuration_takes(office: Office, finai: Finai) -> None:  # noqa: F811
    key = finai("keys", "new", "choi", "--json")["key"]
    assert "promotion:\n  people:\n    seo: {key: " in finai("keys", "new", "seo")
    settings = promotion_settings(office.settings, people={"choi": {"key": key, "roles": ["author"]}})
    assert settings.promotion.people["choi"].key == key
    assert replace(office, settings=settings).desk.settings.promotion.people["choi"].roles == ("author",)
