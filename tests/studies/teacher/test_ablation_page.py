from __future__ import annotations

import json

import pytest
from panel import small_settings

from finai_assets.settings import load_settings
from finai_resources.errors import LakeError
from studies.teacher import ablation_page as document
from studies.teacher.claims import CLAIMS, claims_of
from studies.teacher.compare import compare
from studies.teacher.findings import finding, read_claim
from studies.teacher.variants import Variant, variants
from tests.studies.teacher.test_compare import REFERENCE, result

GATES = Variant("sigmoid_gates", "gates", "Are sigmoid gates better?", {"mechanisms.gate": "sigmoid"})
LOSS = Variant("adatt_loss", "transfer", "Does transfer help?", {"mechanisms.task_transfer": "adatt_loss"})
PCGRAD = Variant("pcgrad", "gradients", "Does surgery help?", {"mechanisms.gradient_surgery": "pcgrad"})
WITHOUT = Variant("without_temporal", "experts", "What is lost?", {"experts": ("deepfm", "hgcn")})
STUDY = {
    "dataset": "synthetic", "profile": "demo", "customers": 900, "columns": 1211, "test_customers": 880, "resamples": 200,
    "epochs": 20, "patience": 4, "torch": "2.13.0", "device": "cpu", "matrix": "abc", "code": "def", "left_out": {},
    "months": {"train": ["2015-01", "2015-02"], "validation": ["2015-05"], "test": ["2015-07"]},
    "rows": {"train": 1700, "validation": 900, "test": 890},
}  # fmt: skip


def summary_of(**shifts: float) -> dict:
    chosen = [REFERENCE, GATES, LOSS, PCGRAD, WITHOUT]
    runs = [result(v.name, seed, shifts.get(v.name, 0.0)) for v in chosen for seed in range(5)]
    summary = {**compare(runs, chosen, small_settings()), "study": STUDY}
    return json.loads(json.dumps(summary))  # as the documentation keeps it


@pytest.fixture(scope="module")
def summary() -> dict:
    return summary_of(pcgrad=0.05, without_temporal=-0.05)


def told(summary: dict, name: str) -> dict:
    return next(variant for variant in summary["variants"] if variant["name"] == name)


def test_a_sentence_for_each_variant_and_null_results_are_told_with_what_would_have_shown(summary):
    null = finding(told(summary, "sigmoid_gates"), summary)
    assert "**No difference shown** in mean skill over 5 seeds" in null
    assert f"one of {told(summary, 'sigmoid_gates')['mean']['detectable']:.4f} would have shown" in null
    assert "No single task is shown to change." in null
    worse = finding(told(summary, "without_temporal"), summary)
    assert "Mean skill is **worse** by 0.0" in worse
    assert "worse on next (log_loss -0.1" in worse
    page = document.render(summary)
    for variant in summary["variants"]:
        assert finding(variant, summary) in page
    assert "Of 4 variants, by mean skill: 1 worse, 1 better, 2 no difference shown." in page


def test_published_claims_are_read_against_the_interval(summary):
    def readings(variant: Variant, found: dict) -> list[str]:
        return [read_claim(claim, told(found, variant.name))[1] for claim in claims_of(variant.changes)]

    gain, loss = readings(GATES, summary)
    assert gain.startswith("not seen here; a gain above")
    assert loss.startswith("not seen here; a loss above")
    assert readings(LOSS, summary) == ["the interval contains -0.001; no difference shown"]
    assert readings(LOSS, summary_of(adatt_loss=0.05)) == ["the interval excludes -0.001; better"]
    gains, nothing, precursor = readings(PCGRAD, summary)
    assert gains == "seen here too: better"
    assert nothing == precursor == "does not agree: better here"
    assert readings(PCGRAD, summary_of(pcgrad=-0.05))[0] == "the opposite here: worse"
    assert readings(PCGRAD, summary_of())[1] == "agrees: no difference shown"


def test_every_claim_speaks_of_a_variant_that_some_configuration_has():
    demo = load_settings("synthetic", "demo")
    mechanisms = demo.teacher.mechanisms.model_copy(update={"gate": "sigmoid", "uncertainty_weighting": False})
    turned = demo.model_copy(update={"teacher": demo.teacher.model_copy(update={"mechanisms": mechanisms})})
    tasks = ("next_mcc", "nba_primary")
    known = [dict(variant.changes) for settings in (demo, turned) for variant in variants(settings, tasks)]
    assert all(claim.changes in known for claim in CLAIMS)
    assert not claims_of({}), "nothing has been published of the control"


def test_the_page_tells_data_splits_rows_seeds_and_where_a_figure_comes_from(summary):
    page = document.render(summary)
    for text in (
        "Train 2015-01..2015-02 (1,700 rows of 900 customers)", "test 2015-07 (890 rows of", "880 customers",
        "5 seeds of each of 5 teachers", "95% interval", "200 resamples", "`experts`: deepfm, hgcn", "Holm", "NeurIPS 2020",
    ):  # fmt: skip
        assert text in page, text
    left_out = {**summary, "study": {**STUDY, "left_out": {"churn_signal": "its test labels have 1 different values"}}}
    assert "Left out: `churn_signal` (its test labels have 1 different values)." in document.render(left_out)


def test_the_page_is_what_the_kept_study_gives():
    if document.STUDY.exists():
        assert document.TARGET.read_text(encoding="utf-8") == document.render(document.stored_study(document.STUDY))
    else:
        assert not document.TARGET.exists(), "a page without a study behind it"


def test_without_a_study_there_is_no_page(tmp_path):
    with pytest.raises(LakeError, match="finai ablate --out"):
        document.stored_study(tmp_path / "absent.json")
