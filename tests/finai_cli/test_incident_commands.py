"""``finai schema`` and ``finai incidents``: what they show, decide and refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_bank import MONTHS, Bank, loaded_bank
from typer.testing import CliRunner, Result

from finai_assets.asset_graph import TRANSACTIONS
from finai_assets.governance.incidents import RETRAIN
from finai_cli.main import app
from tests.finai_assets.ingest.tables.test_berka import KEY

BY = ("--by", "Kim, data office", "--reason", "the core system renamed it on purpose")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose source has a held change, and an incident that asks for a retraining."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
        root = loaded_bank(tmp_path_factory.mktemp("bank"))
        bank = Bank(root)
        bank.edit("trans", "k_symbol", "purpose_code")
        bank.watch()
        bank.incidents.open(
            "retrain-demographics", RETRAIN, "demographics drifts", severity="warning", assets=["features/demographics"],
            partitions=["1993-09", "1993-10"], facts={"groups": ["demographics"]},
        )  # fmt: skip
    return root


@pytest.fixture
def bank(held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copytree(held, tmp_path, dirs_exist_ok=True)
    return Bank(tmp_path)


def run(bank: Bank, *words: str) -> Result:
    options = ["--dataset", "berka", "--profile", "demo", "--home", str(bank.root / "home")]
    source = ["--source", str(bank.source)] if words[1] == "status" else []
    return CliRunner().invoke(app, [*words, *options, *source])


def read(bank: Bank, *words: str) -> Any:
    ended = run(bank, *words, "--json")
    return json.loads(ended.stdout)


def name_of(bank: Bank) -> str:
    return next(iter(bank.incidents.all))


def test_what_waits_is_listed_and_the_exit_code_says_so(bank: Bank) -> None:
    ended = run(bank, "schema", "status")
    assert ended.exit_code == 1
    assert name_of(bank) in ended.stdout
    (row,) = read(bank, "schema", "status")["changes"]
    assert (row["stands"], row["policy"], row["months"]) == ("open", "hold", list(MONTHS))
    listed = read(bank, "incidents", "list")
    assert [each["id"] for each in listed] == ["retrain-demographics", name_of(bank)]  # the newest first
    shown = read(bank, "incidents", "show", name_of(bank))
    assert set(shown) == {
        "id", "kind", "opened_at", "severity", "assets", "partitions", "what", "evidence", "state", "by", "why", "decided_at",
        "facts",
    }  # fmt: skip
    assert shown["evidence"]
    assert "purpose_code" in run(bank, "incidents", "show", name_of(bank)).stdout


def test_an_accepted_change_opens_the_gates_and_leaves_the_list(bank: Bank) -> None:
    assert bank.is_closed(TRANSACTIONS, "1993-02")
    ended = run(bank, "schema", "accept", name_of(bank), *BY)
    assert ended.exit_code == 0, ended.stdout
    assert "the gates are open" in ended.stdout
    assert not bank.is_closed(TRANSACTIONS, "1993-02")
    assert [each["id"] for each in read(bank, "incidents", "list")] == ["retrain-demographics"]
    assert {each["state"] for each in read(bank, "incidents", "list", "--all")} == {"open", "accepted"}
    assert run(bank, "schema", "status").exit_code == 0


def test_a_rejected_change_opens_the_gates_of_what_is_stored(bank: Bank) -> None:
    assert run(bank, "schema", "reject", name_of(bank), *BY).exit_code == 0
    assert not bank.is_closed(TRANSACTIONS, "1993-02")
    assert read(bank, "schema", "status")["changes"][0]["stands"] == "rejected"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("schema", "accept", "schema-0", *BY), "no held change 'schema-0'"),
        (("schema", "accept", "{name}", "--by", "Kim", "--reason", "ok"), "fewer than 10 characters"),
        (("schema", "reject", "{name}", "--by", " ", "--reason", "as the bank says"), "nobody is named"),
        (("incidents", "show", "retrain-x"), "no incident 'retrain-x'"),
        (("incidents", "close", "{name}", *BY), "finai schema accept"),
    ],
)
def test_a_wrong_argument_is_one_error_and_writes_nothing(bank: Bank, words: tuple[str, ...], told: str) -> None:
    before = bank.incidents.all
    ended = run(bank, *(word.replace("{name}", name_of(bank)) for word in words))
    assert ended.exit_code == 2
    assert told in ended.output
    assert "Traceback" not in ended.output
    assert bank.incidents.all == before


def test_a_request_to_retrain_is_closed_by_a_person_with_a_reason(bank: Bank) -> None:
    ended = run(bank, "incidents", "close", "retrain-demographics", "--by", "Lee", "--reason", "retrained in November")
    assert ended.exit_code == 0
    assert bank.incidents.all["retrain-demographics"].state == "closed"
    again = run(bank, "incidents", "close", "retrain-demographics", *BY)
    assert again.exit_code == 2
    assert "closed already, by Lee" in again.output
