"""The Lambda's entry: one event in, one answer out, whatever happens in between.

The bundle is loaded on the first request and kept: its folder comes from ``FINAI_BUNDLE``, the signing key (hexadecimal) from
``FINAI_SIGNING_KEY``. A bundle that cannot be trusted is refused on every request until it is mended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from serving_lambda.answer import Choice, choose, described, evidence_of, summary
from serving_lambda.bundle import Bundle, load_bundle
from serving_lambda.contract import Customer, Request, body_of, is_http, parse, request_id_of, requests_of
from serving_lambda.errors import ServingError
from serving_lambda.reasons import Evidence
from serving_lambda.scorer import Scored, Student, contributions_row, score_row

SERVED_BY = {2: "direct_student", 3: "rules"}  # layer -> what serves where the layer above cannot
# What a complete deployment does and this one does not do yet; every answer says so.
STEPS_ABSENT = ("consent", "kill_switch", "suitability", "safety_gate", "audit")


class Holder:
    """Keeps the bundle of this process; a second request that comes while it loads waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bundle: Bundle | None = None
        self._source: tuple[str, str] | None = None

    def get(self) -> Bundle:
        """Return the bundle that the environment names.

        Raises
        ------
        ServingError
            ``BUNDLE_NOT_CONFIGURED``, ``KEY_NOT_CONFIGURED``, or a refusal of the loader.
        """
        source = (os.environ.get("FINAI_BUNDLE", ""), os.environ.get("FINAI_SIGNING_KEY", ""))
        with self._lock:
            if self._bundle is None or self._source != source:
                self._bundle = None
                self._bundle, self._source = load_bundle(source[0] or _absent("BUNDLE"), _key(source[1])), source
            return self._bundle


def _absent(what: str) -> str:
    raise ServingError(f"{what}_NOT_CONFIGURED", "set it in the function's environment", f"FINAI_{what}")


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < 16:
        raise ServingError("KEY_NOT_CONFIGURED", "set it to at least 16 bytes in hexadecimal", "FINAI_SIGNING_KEY")
    return key


HOLDER = Holder()


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Answer one event: a request, a batch of up to 100, or either in an HTTP envelope.

    Returns
    -------
    dict
        The answer; over HTTP ``{statusCode, headers, body}``. Errors are ``{error: {code, message, field}}``.
    """
    started = time.perf_counter()
    http, status = is_http(event), 200
    try:
        body, http = body_of(event)
        answer = _answer(body, HOLDER.get(), context, started)
    except ServingError as error:
        answer, status = error.as_dict(), error.status
    except Exception as error:
        answer, status = _internal(error).as_dict(), 500
    if not http:
        return answer
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(answer, ensure_ascii=False)}


def _answer(body: Any, bundle: Bundle, context: Any, started: float) -> dict[str, Any]:
    requests, batch = requests_of(body)
    if not batch:
        return respond(bundle, parse(requests[0], bundle), started, fallback_id=_request_id(context))
    responses = []
    for entry in requests:
        begun = time.perf_counter()
        try:
            responses.append(respond(bundle, parse(entry, bundle), begun, fallback_id=None))
        except ServingError as error:
            responses.append({**error.as_dict(), "request_id": _id_or_none(entry)})
        except Exception as error:
            responses.append({**_internal(error).as_dict(), "request_id": _id_or_none(entry)})
    return {"responses": responses, "bundle_id": bundle.bundle_id, "latency_ms": _milliseconds(started)}


def respond(bundle: Bundle, request: Request, started: float, *, fallback_id: str | None) -> dict[str, Any]:
    """Score, rank, explain and word the answer to one checked request."""
    customer = request.customer
    scored, choices, evidence = _scored(bundle, customer, request.k)
    layers = {task: scored.layer(task) for task in bundle.students}
    degraded = dict.fromkeys((*bundle.degraded, *scored.failed))
    return {
        "request_id": request.request_id or fallback_id,
        "recommendations": [
            described(bundle, choice, found, customer, request.locale)
            for choice, found in zip(choices, evidence, strict=True)
        ],
        "task_scores": summary(scored),
        "layer_by_task": layers,
        "degraded": [{"task": task, "code": code, "served_by": SERVED_BY[layers[task]]} for task, code in degraded],
        "input_flags": [flag._asdict() for flag in customer.flags],
        "model": {"dataset": bundle.manifest["dataset"], "versions": bundle.manifest["versions"]},
        "bundle_id": bundle.bundle_id,
        "steps_absent": list(STEPS_ABSENT),
        "latency_ms": _milliseconds(started),
    }


def _scored(bundle: Bundle, customer: Customer, k: int) -> tuple[Scored, list[Choice], list[list[Evidence]]]:
    """Score, choose and explain; a student that cannot explain what it scored makes way for the layer below it."""
    students: Mapping[str, Student] = {} if customer.flags else bundle.students
    broken: tuple[tuple[str, str], ...] = ()
    while True:
        scored = score_row(students, customer.row)
        scored = scored._replace(failed=tuple(dict.fromkeys((*broken, *scored.failed))))
        choices = choose(bundle, scored, customer, k)
        evidence, unexplained = _explained(scored, choices, customer)
        if not unexplained:
            return scored, choices, evidence
        broken = (*scored.failed, *unexplained.items())
        students = {
            task: below
            for task, student in scored.students.items()
            if (below := student.fallback if task in unexplained else student) is not None
        }


def _explained(
    scored: Scored, choices: Sequence[Choice], customer: Customer
) -> tuple[list[list[Evidence]], dict[str, str]]:
    """Return the evidence of each choice, and the code of each task that cannot be explained.

    A task is explained once, and only where a shown product needs it.
    """
    known: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    evidence: list[list[Evidence]] = []
    for choice in choices:
        term = choice.explained_by
        found: list[Evidence] = []
        if term is not None and term.task not in failed:
            student = scored.students[term.task]
            try:
                values = known.setdefault(term.task, []) or contributions_row(student, customer.row)
            except ServingError as error:
                failed[term.task] = error.code
            else:
                known[term.task] = values
                found = evidence_of(student, values, term.output, customer.row)
        evidence.append(found)
    return evidence, failed


def _request_id(context: Any) -> str:
    given = getattr(context, "aws_request_id", None)
    return given if isinstance(given, str) else os.urandom(16).hex()


def _id_or_none(entry: Any) -> str | None:
    try:
        return request_id_of(entry)
    except ServingError:
        return None


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000.0, 3)


def _internal(error: BaseException) -> ServingError:
    """Log where it broke, without values, and return what the caller may know."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else "?"
    sys.stderr.write(
        json.dumps({"level": "error", "code": "INTERNAL", "type": type(error).__name__, "at": place}) + "\n"
    )
    return ServingError("INTERNAL", "the request could not be answered")
