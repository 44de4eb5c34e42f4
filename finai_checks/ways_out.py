"""What to do where a blocking check fails: one sentence for each, told in the error and in ``docs/checks.md``.

A check says what is wrong. What then helps is often a setting that a person who brings tables of their own does not know by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

_RAW = "mend the table or its mapping in the data set's YAML (`finai source check` lists all that is wrong with it)"
_CODE = (
    "a program wrote something else than the code computes: look at what changed since the last passing run, and materialise "
    "again"
)
_OVERRIDE = "or let the month pass for a reason and a time by `finai overrides add`"

WAYS_OUT: Mapping[str, str] = MappingProxyType(
    {
        "no_direct_identifiers": (
            f"leave the column out of the mapping, or map it as the customer's id, which is replaced by a token; {_RAW}"
        ),
        "pseudonym_keyed": (
            "the home's key is not the one that made the tokens: restore `FINAI_PSEUDONYM_KEY` or the home's secrets"
        ),
        "schema_contract": _RAW,
        "source_schema_accepted": (
            "look at the change by `finai schema status`, and decide by `finai schema accept` or `finai schema reject`"
        ),
        "columns_vary_on_train": (
            "where the data set cannot vary these columns (everybody has the same months, one segment), raise "
            "`checks.max_constant_columns` in the data set's YAML to their number; else the mapping lost what they "
            "are made from"
        ),
        "point_in_time_replay": (
            "the group read something at or after the cutoff, or the stored month was altered: mend its code, and "
            "materialise the month again"
        ),
        "lineage_free_of_labels": "a feature reads a label or its window: read the look-back instead",
        "inputs_as_declared": "declare what the group reads in its columns' inputs, or stop reading it",
        "no_single_column_leak": (
            "a column that knows the label is a leak, unless the label follows from it by definition: then name it in "
            "`checks.single_column.expected` with the reason, or the task in `dataset.unavailable_tasks`"
        ),
        "shuffled_future": (
            "features carry something of the future: `finai recheck --audit` names the columns; mend their group"
        ),
        "fitted_on_train_only": (
            "the state saw rows outside train: fit it again (`finai run` does after the code is mended)"
        ),
        "refit_is_equal": f"the stored state is not what train gives; {_CODE}",
        "states_refitted": f"the stored state is not what train gives; {_CODE}",
        "model_refit_is_equal": f"a stored scaler, prior or calibration is not what its rows give; {_CODE}",
        "transfer_rows": f"the rows that copies learn from are not the teacher's answers of purged months; {_CODE}",
        "gap_split": "widen the gap between the months of `dataset.splits`, or lower `gap_days`",
        "prohibited_inputs_absent": "withhold the column from models in `inputs.withheld`, with its reason",
        "lineage_complete": "materialise the asset again, so that its manifest names what it was made from",
        "matrix_of_stored_values": f"the matrix does not hold the stored features and labels; {_CODE}",
        "feature_drift_psi_important": (
            "see whether the source changed its meaning; where the change is real, declare it in "
            f"`checks.drift.declared` with the reason, {_OVERRIDE}"
        ),
        "metric_floor": (
            "the model tells no more than the trivial forecast: give it more months or customers, or name the task in "
            "`dataset.unavailable_tasks` with the reason"
        ),
        "calibration_in_the_large": (
            "the model's probabilities are several times too high or too low: see whether the label's rate changed "
            "between the splits, and train again"
        ),
        "bundle_integrity": (
            "the bundle is not what was trained, or too large or slow: the reason names the file or the budget"
        ),
        "reproducible": "commit what is changed, and train again, so that the model's origin can be told",
        "teacher_is_reproducible": "train again on this machine and these versions; the record names what differs",
        "recommendations_replayed": f"the stored list is not what the deployed code answers; {_CODE}",
        "challenger_beats_champion": (
            "the verdict names each criterion with its figures; `finai promote --dry-run` tells them without a record"
        ),
        "promotion_signed_by_other": "another person than the author signs: `finai approve`",
        "suitability_zero_violations": f"the list offers what the customer's risk profile, age or assets forbid; {_CODE}",
        "consent_zero_leak": f"the list offers something without consent, or against an objection; {_CODE}",
        "labels_recomputed": f"the labels are not what the raw tables give by another route; {_CODE}",
        "label_rates": (
            "see whether the mapping lost or repeats products or payments; where the rate is real, declare it in "
            "`checks.labels.declared_rates` with the reason"
        ),
        "labels_follow_the_truth": (
            "the labels are not those of the generator's events: the window or the formula is another"
        ),
        "classes_recomputed": "the classes are not those of the catalogue: load it again, and derive the labels again",
        "labels_see_their_window_alone": "the label reads outside its window: mend its formula",
        "labels_unlike_the_month_before": (
            "the label is the quantity of the month before, as where its window lies a month early; where it rightly "
            "lasts, name it in `checks.labels.lasting` with the reason"
        ),
        "not_above_the_ceiling": (
            "a model that is better than the true law has seen the label: look for the column or the rows that tell it"
        ),
    }
)


def ways_out(names: Iterable[str], *more: str) -> str:
    """Return what to do about some failed checks: a line for each that has a sentence here, and more lines behind them.

    A check from outside the platform has no sentence here.
    """
    told = [f"{name}: {WAYS_OUT[name]}" for name in dict.fromkeys(names) if name in WAYS_OUT]
    return "\n  ".join([*told, *more])
