"""C12, the inputs that prove it: fits that have seen what they must not see, declared or not."""

from __future__ import annotations

import numpy as np

from finai_assets.asset_graph import CHOICE, COLUMNS, MATRIX, TEACHER, TRANSFER, state_asset, student_asset
from finai_assets.settings import Settings
from finai_assets.training.fitted_rows import FittedRows
from finai_checks.fits import spoiled_fits as spoiled
from finai_checks.fits.checks import MODEL_REFIT, ON_TRAIN_ONLY, QUICK_REFIT, REFIT, TRANSFER_ROWS
from finai_checks.fits.refit import refit_is_equal
from finai_checks.fits.scopes import Scope, fitted_on_train_only
from finai_checks.framework.check import NO_EVIDENCE, Canary, CheckKind, LakeCanary
from finai_checks.framework.small_lake import STUDENT

Parameters = dict[str, np.ndarray]


def plain_canaries(_settings: Settings) -> list[Canary]:
    """Return rows inside and outside their scope, and parameters that refit equally or not."""
    return [*_scopes(), *(canary for kind in (REFIT, QUICK_REFIT, MODEL_REFIT) for canary in _refits(kind))]


def _scopes() -> list[Canary]:
    train, validation = ("2015-01", "2015-02"), ("2015-04",)
    scopes = {"scaler": Scope("train", train, "d1"), "calibration": Scope("validation", validation, "d2")}
    teaching = {"copy transfer": Scope("transfer", ("2015-03", "2015-05"), "d3")}
    told = FittedRows("transfer", ("2015-03", "2015-05"), 20, "d3")
    scaler, calibration = FittedRows("train", train, 10, "d1"), FittedRows("validation", validation, 5, "d2")
    wider = FittedRows("test+train", (*train, "2015-06"), 14, "d1")

    def canary(
        label: str, expects: str | None, stored: dict[str, FittedRows], scopes: dict[str, Scope] = scopes
    ) -> Canary:
        return Canary(ON_TRAIN_ONLY, label, expects, lambda: fitted_on_train_only(stored, scopes))

    return [
        canary("each part fitted on its split", None, {"scaler": scaler, "calibration": calibration}),
        canary("a scaler that saw a test month", "outside train: 2015-06", {"scaler": wider, "calibration": calibration}),
        canary("a scaler of other rows of train", "scaler: the fitted rows are not its rows of train",
               {"scaler": FittedRows("train", train, 10, "d9"), "calibration": calibration}),
        canary("a calibration fitted on train", "calibration: fitted on rows of train",
               {"scaler": scaler, "calibration": FittedRows("train", validation, 5, "d2")}),
        canary("a calibration without a record of its rows", "calibration: nothing says", {"scaler": scaler}),
        canary("a copy taught by purged months", None, {"copy transfer": told}, teaching),
        canary("a copy taught by a test month", "copy transfer: fitted on months outside transfer: 2015-06",
               {"copy transfer": FittedRows("transfer", ("2015-03", "2015-06"), 20, "d4")}, teaching),
        canary("a copy taught by rows that are not in the transfer set", "are not its rows of transfer",
               {"copy transfer": FittedRows("transfer", ("2015-03",), 10, "d4")}, teaching),
        canary("a copy that does not say which transfer set taught it", "copy transfer: nothing says",
               {"copy trees": scaler}, {**teaching, "copy trees": scopes["scaler"]}),
        canary("fits on no row", NO_EVIDENCE, {"scaler": FittedRows("train", (), 0, "")}),
    ]  # fmt: skip


def _refits(kind: CheckKind) -> list[Canary]:
    stored = {"mean": np.array([1.0, 2.0]), "codes": np.array([7, 9])}
    one_bit = np.nextafter(stored["mean"], np.inf)

    def canary(
        label: str, expects: str | None, again: Parameters, *, kept: Parameters = stored, rounding: float = 0.0
    ) -> Canary:
        return Canary(kind, label, expects, lambda: refit_is_equal(kept, again, rounded=kept, rounding=rounding))

    return [
        canary("the same bits", None, {name: array.copy() for name, array in stored.items()}),
        canary("a mean that differs by a bit", "mean (2 of 2", {**stored, "mean": one_bit}),
        canary("a bit, where rounding is allowed", None, {**stored, "mean": one_bit}, rounding=1e-5),
        canary("more than rounding", "mean (1 of 2", {**stored, "mean": np.array([1.0, 2.1])}, rounding=1e-5),
        canary("another code", "codes (1 of 2", {**stored, "codes": np.array([7, 8])}, rounding=1e-5),
        canary("fewer parameters", "codes (the re-fit does not give it)", {"mean": stored["mean"]}),
        canary("nothing stored", NO_EVIDENCE, {}, kept={}),
    ]


def lake_canaries() -> list[LakeCanary]:
    """Return what the small lake has fitted, and fits that were spoiled."""
    state, student = state_asset("demographics"), student_asset(STUDENT)
    return [
        LakeCanary(ON_TRAIN_ONLY, state, "a state as it was fitted"),
        LakeCanary(ON_TRAIN_ONLY, state, "a state that saw the test month", "outside train", spoiled.state_saw_test),
        LakeCanary(ON_TRAIN_ONLY, MATRIX, "a matrix as it was built"),
        LakeCanary(ON_TRAIN_ONLY, MATRIX, "a vocabulary counted on train and test",
                   "next_mcc: fitted on months outside train: 2015-06", spoiled.vocabulary_saw_test),
        LakeCanary(ON_TRAIN_ONLY, TEACHER, "a teacher as it was trained"),
        LakeCanary(ON_TRAIN_ONLY, TEACHER, "a scaler that saw all rows", "normaliser: fitted on months outside train",
                   spoiled.scaler_saw_test),
        LakeCanary(ON_TRAIN_ONLY, TEACHER, "a matrix that has changed since", "normaliser: the fitted rows are not",
                   spoiled.customer_left_the_matrix),
        LakeCanary(ON_TRAIN_ONLY, student, "a student as it was distilled"),
        LakeCanary(ON_TRAIN_ONLY, student, "a student calibrated on test",
                   "calibration: fitted on months outside validation", spoiled.student_calibrated_on_test),
        LakeCanary(REFIT, state, "a state as it was fitted"),
        LakeCanary(REFIT, state, "a parameter changed by one bit", "1 of", spoiled.one_bit_of_a_state),
        LakeCanary(REFIT, state, "a state that saw the test month and records that it did not", "differ after the re-fit",
                   spoiled.state_saw_test_in_secret),
        LakeCanary(QUICK_REFIT, state, "a state as it was fitted"),
        LakeCanary(QUICK_REFIT, state, "a state that saw the test month and records that it did not",
                   "differ after the re-fit", spoiled.state_saw_test_in_secret),
        LakeCanary(REFIT, COLUMNS, "columns chosen on train"),
        LakeCanary(REFIT, COLUMNS, "columns chosen with test rows", "are missing after the re-fit", spoiled.columns_saw_test),
        LakeCanary(ON_TRAIN_ONLY, COLUMNS, "columns chosen on train"),
        LakeCanary(ON_TRAIN_ONLY, CHOICE, "a choice model as it was fitted"),
        LakeCanary(ON_TRAIN_ONLY, CHOICE, "a penalty chosen on test", "penalty: fitted on months outside validation",
                   spoiled.choice_chosen_on_test),
        LakeCanary(REFIT, CHOICE, "a choice model as it was fitted"),
        LakeCanary(REFIT, CHOICE, "weights that saw test rows", "columns weights", spoiled.choice_saw_test),
        LakeCanary(TRANSFER_ROWS, TRANSFER, "a transfer set of purged months"),
        LakeCanary(TRANSFER_ROWS, TRANSFER, "a transfer set with the test month", "rows of 2015-06, where only 2015-03, 2015-05",
                   spoiled.transfer_set_of_a_test_month),
        LakeCanary(TRANSFER_ROWS, TRANSFER, "a changed feature", "1 features of 2015-03", spoiled.feature_of_a_transfer_row),
        LakeCanary(TRANSFER_ROWS, TRANSFER, "exchanged answers", f"not the stored teacher's: {STUDENT} (2)",
                   spoiled.answers_of_another_teacher),
        LakeCanary(TRANSFER_ROWS, TRANSFER, "a customer left out", "its customers are not those",
                   spoiled.customer_left_the_transfer_set),
        LakeCanary(MODEL_REFIT, MATRIX, "a vocabulary of train"),
        LakeCanary(MODEL_REFIT, MATRIX, "a code of the test month in the vocabulary", "missing after the re-fit: 9998",
                   spoiled.code_of_the_test_month),
        LakeCanary(MODEL_REFIT, TEACHER, "a teacher as it was trained"),
        LakeCanary(MODEL_REFIT, TEACHER, "a scaler that saw all rows", "normaliser mean", spoiled.scaler_saw_test),
        LakeCanary(MODEL_REFIT, TEACHER, "a calibration fitted on test", "calibration", spoiled.calibrated_on_test),
        LakeCanary(MODEL_REFIT, student, "a student as it was distilled"),
        LakeCanary(MODEL_REFIT, student, "a student calibrated on test", "threshold", spoiled.student_calibrated_on_test),
    ]  # fmt: skip
