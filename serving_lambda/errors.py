"""The one error of the serving path, and the complete list of its codes with their HTTP status.

A caller sees a code, a sentence and the field concerned; never a stack trace, never a customer's values.
"""

from __future__ import annotations

from typing import Any

STATUS = {
    # the request
    "BODY_NOT_JSON": 400,
    "BODY_TOO_LARGE": 413,
    "METHOD_NOT_ALLOWED": 405,
    "FIELD_UNKNOWN": 400,
    "FIELD_MISSING": 400,
    "FIELD_TYPE": 400,
    "FIELD_VALUE": 400,
    "FEATURES_REQUIRED": 400,
    "FEATURES_MISSING": 400,
    "FEATURE_UNKNOWN": 400,
    "FEATURE_TYPE": 400,
    "BATCH_TOO_LARGE": 400,
    # the bundle: nothing can be answered
    "BUNDLE_NOT_CONFIGURED": 503,
    "KEY_NOT_CONFIGURED": 503,
    "BUNDLE_FILE_MISSING": 503,
    "BUNDLE_SIGNATURE_MISSING": 503,
    "BUNDLE_SIGNATURE_WRONG": 503,
    "BUNDLE_FILE_CORRUPT": 503,
    "BUNDLE_UNREADABLE": 503,
    "SELF_TEST_FAILED": 503,
    # one model or the engine: the task falls to a lower layer, the request is answered
    "STUDENT_FILE_MISSING": 503,
    "STUDENT_FILE_CORRUPT": 503,
    "MODEL_UNREADABLE": 503,
    "PREDICTION_FAILED": 503,
    "ENGINE_UNAVAILABLE": 503,
    # a defect of this code
    "INTERNAL": 500,
}


class ServingError(Exception):
    """A refusal with a code of :data:`STATUS`.

    Parameters
    ----------
    code : str
        A key of :data:`STATUS`.
    message : str
        What is wrong and what is expected.
    field : str, optional
        The request's field, or the bundle's file.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.field = code, message, field
        self.status = STATUS[code]

    def as_dict(self) -> dict[str, Any]:
        """Return what the caller sees: ``{"error": {"code", "message", "field"}}``."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}
