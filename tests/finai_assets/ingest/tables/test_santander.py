"""Santander by YAML alone: a small invented file in the shape of the Kaggle one."""

from __future__ import annotations

from pathlib import Path

import pytest

from finai_assets.ingest.load import load_catalogue, load_month
from finai_assets.ingest.pseudonym import pseudonymise
from finai_assets.ingest.tables.adapter import TablesAdapter
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ContractError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

KEY = b"a key of a test, not of a bank...."
SETTINGS = load_settings("santander")
assert SETTINGS.tables is not None
assert SETTINGS.tables.holdings.flags is not None
FLAGS = list(SETTINGS.tables.holdings.flags.columns)
HEAD = (
    "fecha_dato,ncodpers,ind_empleado,pais_residencia,sexo,age,fecha_alta,ind_nuevo,antiguedad,indrel,ult_fec_cli_1t,"
    "indrel_1mes,tiprel_1mes,indresi,indext,conyuemp,canal_entrada,indfall,tipodom,cod_prov,nomprov,ind_actividad_cliente,"
    f"renta,segmento,{','.join(FLAGS)}"
)


def row(month: str, customer: str, *, age: str, months: str, income: str, segment: str, sex: str = "H", held: str = "") -> str:
    """Return a row as the file has it: numbers with blanks before them, ` NA`, -999999, flags that may be NA."""
    flags = ["1" if flag in held.split() else "0" for flag in FLAGS]
    if "nomina?" in held:
        flags[FLAGS.index("ind_nomina_ult1")] = "NA"
    return (
        f'{month}-28,{customer},N,ES,{sex},{age},2015-01-12,0,{months},1,,1.0,A,S,N,,KHL,N,1,29,"CORUÑA, A",1,{income},'
        f"{segment},{','.join(flags)}"
    )


ROWS = [
    row("2015-01", "1375586", age=" 35", months="      6", income="87218.1", segment="02 - PARTICULARES", held="ind_cco_fin_ult1"),
    row("2015-01", "1050611", age=" NA", months="-999999", income="NA", segment="", sex="V", held="ind_cco_fin_ult1 nomina?"),
    row("2015-02", "1375586", age=" 35", months="      7", income="87218.1", segment="02 - PARTICULARES",
        held="ind_cco_fin_ult1 ind_recibo_ult1"),
    row("2015-02", "1050611", age=" 23", months="     35", income="", segment="03 - UNIVERSITARIO", sex="V"),
]  # fmt: skip


def adapter(folder: Path, rows: list[str]) -> tuple[TablesAdapter, Settings]:
    (folder / "train_ver2.csv").write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    settings = load_settings("santander", overrides={"dataset": {"source": str(folder)}})
    return TablesAdapter(settings, KEY), settings


def test_the_months_of_the_panel_are_loaded_with_the_right_values(tmp_path: Path, lake: Lake) -> None:
    opened, settings = adapter(tmp_path, ROWS)
    session = LakeSession(lake)
    load_catalogue(opened, session, settings, code_version="1")
    assert [month.key for month in opened.months()] == ["2015-01", "2015-02"]
    found = {}
    for month in opened.months():
        load_month(opened, session, month, settings, code_version="1")
        for each in lake.read("raw/snapshots", month.key).to_pylist():
            found[month.key, each["customer_id"]] = each
    one, two = pseudonymise(["1375586", "1050611"], KEY).tolist()
    codes = [product.code for product in settings.products]
    first = found["2015-01", one]
    assert (first["age"], first["tenure_months"], first["income"], first["is_active"]) == (35, 6, 87218.1, True)
    assert (first["gender"], first["segment"], first["country"], first["channel"]) == ("male", "individuals", "ES", "KHL")
    assert [codes[i] for i in first["held"]] == ["current_account"]
    assert [codes[i] for i in found["2015-02", one]["held"]] == ["current_account", "direct_debit"]
    unknown = found["2015-01", two]
    assert {unknown[name] for name in ("age", "tenure_months", "income", "segment")} == {None}
    assert (unknown["gender"], [codes[i] for i in unknown["held"]]) == ("female", ["current_account"])
    assert found["2015-02", two]["segment"] == "students"
    assert lake.read("raw/protected_attributes", "2015-01")["region"].to_pylist() == ["CORUÑA, A"] * 2
    assert lake.find("raw/transactions", "2015-01") is None
    assert lake.read("raw/products").num_rows == 24


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (ROWS[0].replace("02 - PART", "09 - PART"), r"column segmento: .*unknown word '09'.*: 1 row"),
        (ROWS[0].replace(" 35", "abc"), r"column age: .*'abc' is not a number: 1 row"),
        (ROWS[0].replace("2015-01-28", "28.1.2015"), r"column fecha_dato: .*Could not parse.*: 1 row"),
        (ROWS[1], r"column ncodpers, fecha_dato: duplicate key: 1 row"),
        (ROWS[0].replace(",1375586,", ",,"), r"column ncodpers: .*missing, blank"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_with_its_column(tmp_path: Path, broken: str, told: str) -> None:
    opened, _ = adapter(tmp_path, [broken, *ROWS[1:]])
    with pytest.raises(ContractError, match=told):
        opened.month(Month.parse("2015-01"))


def test_a_snapshot_does_not_change_when_later_rows_do(tmp_path: Path) -> None:
    def january(rows: list[str], name: str) -> list[object]:
        (tmp_path / name).mkdir()
        opened, _ = adapter(tmp_path / name, rows)
        return [piece.table.to_pylist() for piece in opened.month(Month.parse("2015-01")).snapshots]

    assert january(ROWS, "whole") == january([*ROWS[:2], ROWS[3].replace(" 23", " 99")], "other")


def test_what_the_panel_cannot_carry_follows_from_its_tables() -> None:
    from finai_assets.features.registry import build_registry
    from finai_assets.labels.tasks import available, build_tasks

    tasks = {task.name for task in available(build_tasks(SETTINGS))}
    assert {"nba_primary", "churn_signal", "segment_prediction"} <= tasks
    assert not {"next_mcc", "mcc_diversity_trend", "top_mcc_shift"} & tasks
    assert "held_current_account" in build_registry(SETTINGS).names
