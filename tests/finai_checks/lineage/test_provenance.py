"""C16: the chain of recorded hashes from a matrix to raw tables is unbroken, or the broken link is named."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from finai_checks.framework.check import CheckOutcome
from finai_checks.lineage.provenance import Provenance, lineage_complete
from finai_resources.manifest import Manifest


def manifests(chain: Mapping[str, tuple[str, Mapping[str, str]]]) -> dict[str, Manifest]:
    return {at: Manifest(at, None, (), 1, "", content, "", "", made) for at, (content, made) in chain.items()}


@st.composite
def chains(draw: st.DrawFn) -> dict[str, tuple[str, dict[str, str]]]:
    """Return a matrix of two months on states and raw tables, each made from some of what lies before it."""
    raw = [f"raw/t{k}" for k in range(draw(st.integers(1, 4)))]
    chain: dict[str, tuple[str, dict[str, str]]] = {name: (f"hash of {name}", {}) for name in raw}
    for name in ("feature_state/g", "features/g@2015-01", "features/g@2015-02"):
        sources = [raw[0], *draw(st.sets(st.sampled_from(list(chain))))]
        chain[name] = (f"hash of {name}", {source: chain[source][0] for source in sources})
    features = [name for name in chain if name.startswith("features/")]
    return {**chain, "matrix": ("m", {name: chain[name][0] for name in features})}


@given(chain=chains(), data=st.data())
def test_whatever_upstream_partition_changes_or_goes_its_matrix_fails_by_name_and_no_other_does(
    chain: dict[str, tuple[str, dict[str, str]]], data: st.DataObject
) -> None:
    def outcome(stored: Mapping[str, Manifest]) -> CheckOutcome:
        walk = Provenance(stored.get, lambda _at: ())
        return lineage_complete(walk, "matrix", {"x": "features/g", "y": "features/g"}, ["2015-01", "2015-02"])

    good = outcome(manifests(chain))
    assert (good.passed, good.reason, good.n) == (True, "", 4)
    reached = Provenance(manifests(chain).get, lambda _at: ()).reached("matrix")
    name = data.draw(st.sampled_from([at for at in chain if at != "matrix"]))
    without = {at: entry for at, entry in chain.items() if at != name}
    for spoiled in (without, {**chain, name: ("another", chain[name][1])}):
        bad = outcome(manifests(spoiled))
        assert bad.passed == (name not in reached)
        assert (name in bad.reason) == (name in reached)


def test_a_required_source_that_a_manifest_does_not_record_is_named() -> None:
    chain = {"m": ("m", {"features/g@2015-01": "g"}), "features/g@2015-01": ("g", {"raw/a": "a"}), "raw/a": ("a", {})}
    stored = manifests(chain)
    needs = {"features/g@2015-01": ["raw/a", "raw/b"]}
    outcome = lineage_complete(
        Provenance(stored.get, lambda at: needs.get(at, [])), "m", {"x": "features/g"}, ["2015-01"]
    )
    assert outcome.reason == "features/g@2015-01 does not record that it was made from raw/b"
    assert outcome.n == 0


def test_a_column_without_a_group_is_named_beside_columns_that_are_complete() -> None:
    chain = {"m": ("m", {"features/g@2015-01": "g"}), "features/g@2015-01": ("g", {"raw/a": "a"}), "raw/a": ("a", {})}
    walk = Provenance(manifests(chain).get, lambda _at: ())
    outcome = lineage_complete(walk, "m", {"x": "features/g", "shadow": None}, ["2015-01"])
    assert (outcome.passed, outcome.reason, outcome.n) == (False, "no feature group declares shadow", 1)
