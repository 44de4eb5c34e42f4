"""A change of the source, from the look at it to the gates: recorded, held, accepted, rejected, reverted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_bank import MONTHS, Bank, loaded_bank

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS, group_asset
from finai_assets.governance.schema_watch import look, standing_in_the_way
from finai_assets.governance.source_schema import read_state
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.gates import CheckGates
from finai_checks.schema.watch import decide
from finai_resources.errors import ConfigError, GateError
from finai_resources.months import Month
from tests.finai_assets.ingest.tables.test_berka import KEY

BY = {"by": "Kim, data office", "why": "the core system renamed it on purpose"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
        return loaded_bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture
def root(loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINAI_PSEUDONYM_KEY", KEY.hex())
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def bank(root: Path) -> Bank:
    return Bank(root)


def rename_purpose(bank: Bank) -> None:
    bank.edit("trans", "k_symbol", "purpose_code")


def test_the_first_look_remembers_and_records_no_change(bank: Bank) -> None:
    found = bank.watch()
    assert found.look is not None
    assert not found.look.is_baseline
    assert (found.recorded, found.spoken) == ((), ())


def test_a_column_that_nothing_reads_is_recorded_once_and_blocks_nobody(bank: Bank) -> None:
    bank.edit("loan", "status", "state")
    before = evidence_log(bank.lake, bank.secrets).head().count
    (recorded,) = bank.watch().recorded
    assert (recorded.change.kind, recorded.change.rule, recorded.policy) == ("renamed", "values", "ignore")
    assert (recorded.touched, recorded.groups, recorded.months, recorded.incident) == ((), (), (), "")
    after = evidence_log(bank.lake, bank.secrets)
    (entry,) = [entry for entry in after.entries() if entry.sequence >= before]
    assert entry.record["passed"]
    assert recorded.change.told in {row["what"] for row in entry.record["table"]}
    again = bank.watch()
    assert (again.recorded, again.spoken) == ((), ())
    assert after.head().count == before + 1


def test_a_renamed_column_that_the_mapping_reads_is_held_and_closes_the_gates_of_all_that_reads_it(bank: Bank) -> None:
    assert not bank.is_closed(TRANSACTIONS, "1993-02")
    rename_purpose(bank)
    (recorded,) = bank.watch().recorded
    assert (recorded.policy, recorded.change.told) == (
        "hold",
        "trans: column k_symbol is called purpose_code now (string; 100% of their values are the same)",
    )
    assert set(recorded.touched) == {"raw/snapshots.held", "raw/transactions.mcc"}
    assert recorded.months == MONTHS  # the mapping cannot read them any more
    assert "mcc_top30_multihot" in recorded.groups
    assert "demographics" in recorded.groups  # it counts the products that are held
    (incident,) = bank.incidents.all.values()
    assert (incident.state, incident.severity, incident.partitions) == ("open", "error", MONTHS)
    told = [evidence_log(bank.lake, bank.secrets).entry(number) for number in incident.evidence]
    assert len(told) == 3 * len(recorded.assets)
    assert not any(entry.record["passed"] for entry in told if entry)
    assert bank.is_closed(TRANSACTIONS, "1993-02")
    assert bank.is_closed(SNAPSHOTS, "1993-02")
    asked = bank.platform.graph.asked(group_asset("demographics"), month=Month.parse("1993-02"))
    with pytest.raises(GateError, match="finai schema accept"):
        CheckGates(bank.platform).demand(bank.lake, asked)


def test_a_second_look_at_a_held_change_records_nothing(bank: Bank) -> None:
    rename_purpose(bank)
    bank.watch()
    entries = evidence_log(bank.lake, bank.secrets).head().count
    for _ in range(2):
        again = bank.watch()
        assert (again.recorded, again.closed, again.spoken) == ((), (), ())
    assert evidence_log(bank.lake, bank.secrets).head().count == entries
    assert len(bank.incidents.all) == 1
    seen = look(bank.platform, bank.lake, bank.secrets, bank.cache)
    assert seen is not None
    assert len(standing_in_the_way(bank.platform, seen)) == 1


def test_an_accepted_change_opens_the_gates_and_is_the_schema_from_then_on(bank: Bank) -> None:
    rename_purpose(bank)
    name = bank.watch().recorded[0].incident
    incident, spoken = decide(bank.platform, bank.lake, bank.secrets, name, "accepted", **BY)
    assert (incident.state, incident.by) == ("accepted", BY["by"])
    assert all(each.outcome.passed for each in spoken)
    assert not bank.is_closed(TRANSACTIONS, "1993-02")
    again = bank.watch()
    assert again.look is not None
    assert (again.look.changes, again.recorded) == ((), ())
    state = read_state(bank.lake, bank.incidents)
    assert state.accepted is not None
    assert state.accepted.column("trans", "purpose_code") is not None
    with pytest.raises(ConfigError, match="accepted already, by Kim"):
        decide(bank.platform, bank.lake, bank.secrets, name, "rejected", **BY)


def test_a_rejected_change_leaves_the_stored_months_and_closes_what_is_loaded_under_it(bank: Bank) -> None:
    bank.edit("trans", '"SLUZBY"', '"UVER"')  # a month's rows change too, so that it can be loaded anew
    bank.edit("account", "account_id;district_id;frequency;date", "account_id;district_id;opening;date")
    bank = Bank(bank.root)
    recorded = {each.change.kind: each for each in bank.watch().recorded}
    name = recorded["renamed"].incident
    _, spoken = decide(bank.platform, bank.lake, bank.secrets, name, "rejected", **BY)
    assert all(each.outcome.passed for each in spoken)
    assert not bank.is_closed(SNAPSHOTS, "1993-03")
    assert bank.watch().recorded == ()
    with bank.lake.write(
        SNAPSHOTS, "1993-03", extra={"source_schema": {"t": {"a": "string"}}, "source_files": {"x": "1"}}
    ):
        pass
    bank.check("1993-03")
    assert bank.is_closed(SNAPSHOTS, "1993-03")
    assert not bank.is_closed(SNAPSHOTS, "1993-02")


def test_a_change_that_is_reverted_closes_its_incident_and_one_that_comes_again_is_another(bank: Bank) -> None:
    rename_purpose(bank)
    first = bank.watch().recorded[0].incident
    bank.edit("trans", "purpose_code", "k_symbol")
    reverted = bank.watch()
    assert [each.state for each in reverted.closed] == ["closed"]
    assert not bank.is_closed(TRANSACTIONS, "1993-02")
    rename_purpose(bank)
    second = bank.watch().recorded[0].incident
    assert second == f"{first}-2"
    assert bank.is_closed(TRANSACTIONS, "1993-02")


def test_a_new_word_widens_the_vocabulary_and_holds_nothing(bank: Bank) -> None:
    bank.edit("trans", '"SLUZBY"', '"NAJEM"')
    (recorded,) = bank.watch().recorded
    assert (recorded.change.kind, recorded.policy) == ("vocabulary", "widen")
    assert recorded.change.figures["new_words"] == ["NAJEM"]
    assert recorded.months == ("1993-03",)  # the one month that has it, and whose load would refuse it
    assert bank.incidents.all == {}
    state = read_state(bank.lake, bank.incidents)
    assert state.accepted is not None
    column = state.accepted.column("trans", "k_symbol")
    assert column is not None
    assert "NAJEM" in (column.words or ())
    assert bank.watch().recorded == ()


def test_the_policy_of_a_kind_is_that_of_the_settings(root: Path) -> None:
    bank = Bank(root, vocabulary="hold", renamed="ignore")
    bank.edit("trans", '"SLUZBY"', '"NAJEM"')
    bank.edit("account", "frequency", "statement_cycle")
    assert {each.change.kind: each.policy for each in bank.watch().recorded} == {
        "renamed": "ignore",
        "vocabulary": "hold",
    }


def test_without_a_baseline_the_manifests_tell_what_was_loaded(bank: Bank) -> None:
    shutil.rmtree(f"{bank.lake.root}/source_schema")
    bank.edit("trans", "balance", "saldo")
    found = bank.watch()
    assert found.look is not None
    assert found.look.is_baseline
    assert sorted(each.change.kind for each in found.recorded) == ["added", "dropped"]
    assert bank.watch().recorded == ()


def test_a_decision_needs_a_name_a_reason_and_a_held_change(bank: Bank) -> None:
    rename_purpose(bank)
    name = bank.watch().recorded[0].incident
    before = bank.incidents.all[name]
    for wrong in ({**BY, "by": " "}, {**BY, "why": "ok"}):
        with pytest.raises(ConfigError, match=r"--by|--reason"):
            decide(bank.platform, bank.lake, bank.secrets, name, "accepted", **wrong)
    with pytest.raises(ConfigError, match=rf"no held change 'schema-0'(.|\n)*{name}"):
        decide(bank.platform, bank.lake, bank.secrets, "schema-0", "accepted", **BY)
    assert bank.incidents.all[name] == before
