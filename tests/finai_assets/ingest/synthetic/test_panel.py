"""The panel in the lake: same bytes for the same seed, in the form of the contract, with nobody's identifier in it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from finai_assets.ingest import contract
from finai_assets.ingest.pseudonym import pseudonymise
from finai_assets.ingest.synthetic import customer_tokens, generate, panel, panel_digest
from finai_assets.ingest.synthetic.tables import category_table, product_table
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import watched

KEY = b"a key of the tests, 32 bytes long"
SHORT = {
    "dataset": {
        "raw_months": ["2014-10", "2015-05"],
        "snapshot_months": ["2015-01", "2015-04"],
        "splits": {
            "train": ["2015-01", "2015-01"],
            "validation": ["2015-03", "2015-03"],
            "test": ["2015-04", "2015-04"],
        },
    },
    "generator": {"customers": 90, "block_customers": 25, "truth_draws": 4},
}


def short(**overrides: object) -> Settings:
    return load_settings("synthetic", "smoke", overrides={**SHORT, **overrides})


def hashes(folder: Path, settings: Settings, workers: int, key: bytes = KEY) -> dict[tuple[str, str | None], str]:
    lake = Lake.on_disk(folder)
    generate(settings, key, LakeSession(lake), tasks=build_tasks(settings), workers=workers, code_version="test")
    assets = [f"source/{name}" for name in ("snapshots", "transactions", "protected_attributes")]
    assets += [f"truth/{path.name}" for path in sorted((folder / "truth").iterdir())]
    found = {
        (asset, month): lake.manifest(asset, month).content_hash for asset in assets for month in lake.partitions(asset)
    }
    return found | {("source/report", None): lake.manifest("source/report").content_hash}


def test_bytes_do_not_depend_on_workers_or_on_the_run(tmp_path: Path) -> None:
    first = hashes(tmp_path / "one", short(), workers=1)
    assert len(first) == 3 * 8 + (13 + 1) * 4 + 1  # tables, truths of tasks and of the products, report
    assert hashes(tmp_path / "three", short(), workers=3) == first
    assert hashes(tmp_path / "again", short(), workers=3) == first


def test_another_seed_changes_every_table_but_no_customer(tmp_path: Path) -> None:
    first, second = (hashes(tmp_path / str(seed), short(seed=seed), workers=2) for seed in (1, 2))
    assert first.keys() == second.keys()
    assert not [address for address in first if first[address] == second[address]]
    assert (customer_tokens(short(seed=1), KEY) == customer_tokens(short(seed=2), KEY)).all()


def test_another_key_changes_the_tokens_and_the_digest_but_not_the_figures(tmp_path: Path) -> None:
    first, second = (hashes(tmp_path / key.decode(), short(), workers=2, key=key) for key in (b"a" * 16, b"b" * 16))
    assert first["source/report", None] == second["source/report", None]
    assert first["source/snapshots", "2015-01"] != second["source/snapshots", "2015-01"]
    assert panel_digest(short(), b"a" * 16, ()) != panel_digest(short(), b"b" * 16, ())


def test_another_definition_of_churn_changes_its_truth_and_the_digest_and_no_other_truth(tmp_path: Path) -> None:
    other = short(tasks={"churn_signal": {"share": [9, 10], "history_months": 2}})
    first, second = (hashes(tmp_path / name, of, workers=2) for name, of in (("one", short()), ("other", other)))
    differing = {asset for asset, month in first if first[asset, month] != second[asset, month]}
    assert differing == {"truth/churn_signal", "source/report"}
    assert panel_digest(short(), KEY, build_tasks(short())) != panel_digest(other, KEY, build_tasks(other))


def test_a_task_that_is_not_asked_for_has_no_truth_and_changes_none_of_the_others_nor_that_of_the_products(
    tmp_path: Path,
) -> None:
    every, lake = hashes(tmp_path / "every", short(), workers=1), Lake.on_disk(tmp_path / "some")
    some = [task for task in build_tasks(short()) if task.name in {"top_mcc_shift", "next_mcc"}]
    generate(short(), KEY, LakeSession(lake), tasks=some, workers=1, code_version="test")
    assert {path.name for path in (tmp_path / "some" / "truth").iterdir()} == {"top_mcc_shift", "next_mcc", "products"}
    for truth in (*(f"truth/{task.name}" for task in some), "truth/products"):
        assert len(lake.partitions(truth)) == 4
        for month in lake.partitions(truth):
            assert lake.manifest(truth, month).content_hash == every[truth, month]


def test_progress_ends_at_all_customers(lake: Lake) -> None:
    seen: list[tuple[int, int]] = []
    with watched(lambda _label, done, total: seen.append((done, total))):
        generate(short(), KEY, LakeSession(lake), tasks=(), workers=2, code_version="1")
    assert seen == [(25, 90), (50, 90), (75, 90), (90, 90)]


def test_a_failure_half_way_leaves_no_partition(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    real = panel.simulate_block

    def fails_on_the_third(tokens: np.ndarray, number: int, *rest: object) -> panel.BlockTables:
        if number == 2:
            raise MemoryError("the third block")
        return real(tokens, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(panel, "simulate_block", fails_on_the_third)
    with pytest.raises(MemoryError, match="the third block"):
        generate(short(), KEY, LakeSession(lake), tasks=build_tasks(short()), workers=2, code_version="1")
    assert lake.partitions("source/snapshots") == []
    assert lake.partitions("truth/churn_signal") == []
    assert not list(Path(lake.root).rglob("*.parquet"))


def test_a_horizon_of_two_months_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="horizon_months is 2"):
        generate(short(horizon_months=2), KEY, LakeSession(lake), tasks=(), workers=1, code_version="1")
    assert lake.partitions("source/snapshots") == []


@pytest.mark.parametrize("table", ["snapshots", "transactions"])
def test_every_month_is_in_the_form_of_the_contract(panel, table: str) -> None:
    schema = getattr(contract, table.upper())
    months = panel.lake.partitions(f"source/{table}")
    assert months == [month.key for month in panel.settings.dataset.raw_months]
    for month in months:
        stored = panel.lake.read(f"source/{table}", month)
        assert stored.schema.remove_metadata().equals(schema)
        ids = stored["customer_id"].to_numpy()
        assert (np.diff(ids) >= (table == "snapshots")).all()
        for field in schema:
            assert field.nullable or stored[field.name].null_count == 0


def test_row_groups_are_bounded_and_in_customer_order(panel) -> None:
    [file] = panel.lake.open_parquet(panel.lake.manifest("source/transactions", "2015-01"))
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    assert len(groups) >= 3  # one a block at least
    assert max(group.num_rows for group in groups) <= 65_536
    bounds = [group.column(0).statistics for group in groups]
    assert all(left.max <= right.min for left, right in pairwise(bounds))


def test_transactions_lie_in_their_month_in_order_and_belong_to_customers(panel) -> None:
    codes = {category.mcc for category in panel.settings.merchant_categories}
    for key in panel.lake.partitions("source/transactions"):
        table, month = panel.lake.read("source/transactions", key), Month.parse(key)
        ts, ids = table["ts"].cast(pa.int64()).to_numpy(), table["customer_id"].to_numpy()
        assert ts.min() >= month.start_us
        assert ts.max() < month.cutoff_us
        same = ids[1:] == ids[:-1]
        assert (ts[1:] > ts[:-1])[same].all()
        amount = table["amount"].to_numpy()
        assert np.isfinite(amount).all()
        assert (amount != 0).all()
        assert set(table["mcc"].unique().to_pylist()) <= codes
        customers = panel.lake.read("source/snapshots", key)["customer_id"].to_numpy()
        assert np.isin(ids, customers).all()


def test_nulls_occur_where_they_are_declared_at_their_rate_and_nowhere_else(panel) -> None:
    missing = panel.settings.generator.process.population.missing
    snapshots = panel.lake.read("source/snapshots", "2015-01")
    payments = panel.lake.read("source/transactions", "2015-01")
    for table in (snapshots, payments):
        for name in table.schema.names:
            share = table[name].null_count / len(table)
            if name in missing:
                assert 0 < share < 2.5 * missing[name] + 0.003, name
            else:
                assert share == 0, name
    assert pc.min(snapshots["income"]).as_py() > 0  # unknown is null, not a sentinel


def test_customers_join_and_leave_and_age_with_the_calendar(panel) -> None:
    first, last = (
        panel.lake.read("source/snapshots", key).to_pandas().set_index("customer_id") for key in ("2014-01", "2015-08")
    )
    assert len(last.index.difference(first.index)) > 50
    assert 5 < len(first.index.difference(last.index)) < 0.15 * len(first)
    both = first.join(last, rsuffix="_last", how="inner")
    assert (both.tenure_months_last - both.tenure_months).dropna().eq(19).all()
    assert (both.age_last - both.age).dropna().isin([1, 2]).all()
    joined = last.loc[last.index.difference(first.index)].tenure_months.dropna()
    assert joined.between(0, 18).all()


def test_no_direct_identifier_is_in_any_table(panel) -> None:
    number = panel.settings.generator.customers
    expected = pseudonymise((f"synthetic:{i}" for i in range(1, number + 1)), KEY)
    seen: set[int] = set()
    for key in panel.lake.partitions("source/snapshots"):
        seen |= set(panel.lake.read("source/snapshots", key)["customer_id"].to_pylist())
    assert seen <= set(expected.tolist())
    assert not seen & set(range(number + 1))


def test_protected_attributes_have_the_customers_of_the_snapshots(panel) -> None:
    for key in ("2014-01", "2015-08"):
        attributes = panel.lake.read("source/protected_attributes", key)
        assert attributes["customer_id"].equals(panel.lake.read("source/snapshots", key)["customer_id"])
        assert all(pa.types.is_string(field.type) for field in attributes.schema if field.name != "customer_id")
        assert {len(attributes[name].unique()) for name in attributes.schema.names[1:]} <= {2, 3, 4}


def test_the_catalogue_is_the_one_of_the_settings(settings: Settings) -> None:
    products, merchants = product_table(settings), category_table(settings)
    assert products["product_id"].to_pylist() == list(range(24))
    assert [settings.families[i] for i in products["family"].to_pylist()] == [p.family for p in settings.products]
    assert products.schema.equals(contract.PRODUCTS)
    assert merchants.schema.equals(contract.MERCHANT_CATEGORIES)
    assert [len(merchants[name].unique()) for name in ("l1", "l2", "mcc")] == [10, 30, 50]
    parents = {(row["l2"], row["l1"]) for row in merchants.to_pylist()}
    assert len(parents) == 30  # each L2 category has one L1 parent


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("products", {"products": {"perpetual_bond": {"opens": 0.01, "closes": 0.01}}}),
        ("follows", {"follows": {5812: [9999]}}),
        ("spending", {"spending": {"fortune_tellers": {"weight": 1, "amount": 10, "spread": 1}}}),
        ("commuter.prefers", {"personas": {"commuter": {"prefers": {"fortune_tellers": 2.0}}}}),
    ],
)
def test_a_name_that_the_catalogue_lacks_is_refused(part: str, change: dict[str, object], lake: Lake) -> None:
    settings = load_settings("synthetic", "smoke", overrides={"generator": {"process": change}})
    with pytest.raises(ConfigError, match=part):
        generate(settings, KEY, LakeSession(lake), tasks=(), workers=1, code_version="1")


def test_a_product_that_names_an_unknown_stage_is_refused_with_the_settings() -> None:
    change = {"generator": {"process": {"products": {"mortgage": {"stages": {"retierd": 1.0}}}}}}
    with pytest.raises(ConfigError, match="mortgage") as error:
        load_settings("synthetic", "smoke", overrides=change)
    assert "generator.process" in str(error.value)
