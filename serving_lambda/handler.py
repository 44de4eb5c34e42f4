"""The Lambda's entry: one event in, one answer out, whatever happens in between.

The bundle is loaded on the first request and kept: its folder comes from ``FINAI_BUNDLE``, the signing key (hexadecimal) from
``FINAI_SIGNING_KEY``. A bundle that cannot be trusted is refused on every request until it is mended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from serving_lambda.answer import described, filtered, summary
from serving_lambda.bundle import Bundle, load_bundle
from serving_lambda.contract import Request, body_of, is_http, parse, request_id_of, requests_of
from serving_lambda.errors import ServingError
from serving_lambda.filters import STOP_CODES, channels
from serving_lambda.path import answered
from serving_lambda.ports import Ports
from serving_lambda.scorer import PRODUCT_MODEL

DIRECT, HOLDINGS, RULES, COUNTS = "direct_student", "holdings_model", "rules", "train_counts"
PORTS = Ports()  # what is there in this deployment: a clock


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


def handler(event: Any, context: Any = None, ports: Ports = PORTS) -> dict[str, Any]:
    """Answer one event: a request, a batch of up to 100, or either in an HTTP envelope.

    Parameters
    ----------
    event
        What Lambda hands in.
    context
        Lambda's context, whose request id is taken where the caller gives none.
    ports
        What the path asks of the world around it.

    Returns
    -------
    dict
        The answer; over HTTP ``{statusCode, headers, body}``. Errors are ``{error: {code, message, field}}``.
    """
    started = ports.clock.seconds()
    http, status = is_http(event), 200
    try:
        body, http = body_of(event)
        answer = _answer(body, HOLDER.get(), context, started, ports)
    except ServingError as error:
        answer, status = error.as_dict(), error.status
    except Exception as error:
        answer, status = _internal(error).as_dict(), 500
    if not http:
        return answer
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(answer, ensure_ascii=False)}


def _answer(body: Any, bundle: Bundle, context: Any, started: float, ports: Ports) -> dict[str, Any]:
    requests, batch = requests_of(body)
    if not batch:
        request = parse(requests[0], bundle, ports.store, ports.contacts, ports.standings)
        return respond(bundle, request, started, ports, fallback_id=_request_id(context))
    responses = []
    for entry in requests:
        begun = ports.clock.seconds()
        try:
            request = parse(entry, bundle, ports.store, ports.contacts, ports.standings)
            responses.append(respond(bundle, request, begun, ports, fallback_id=None))
        except ServingError as error:
            responses.append({**error.as_dict(), "request_id": _id_or_none(entry)})
        except Exception as error:
            responses.append({**_internal(error).as_dict(), "request_id": _id_or_none(entry)})
    return {"responses": responses, "bundle_id": bundle.bundle_id, "latency_ms": _milliseconds(started, ports)}


def respond(
    bundle: Bundle, request: Request, started: float, ports: Ports, *, fallback_id: str | None
) -> dict[str, Any]:
    """Take the path for one checked request, and word and record the answer."""
    customer = request.customer
    occasion = bundle.offering.occasion(ports.clock.timestamp(), request.channel)
    found = answered(bundle, customer, request.k, occasion, ports.switch)
    asked = () if found.nothing in STOP_CODES else (*bundle.students, PRODUCT_MODEL)
    layers = {task: found.scored.layer(task) for task in asked}
    degraded = dict.fromkeys((*bundle.degraded, *found.scored.failed)) if asked else ()
    answer = {
        "request_id": request.request_id or fallback_id,
        "recommendations": [
            described(bundle, choice, evidence, customer, request.locale)
            for choice, evidence in zip(found.choices, found.evidence, strict=True)
        ],
        "nothing_offered": {"code": found.nothing} if found.nothing else None,
        "channels": [] if found.nothing else channels(customer, occasion, bundle.offering),
        "filtered": filtered(bundle, found.removed),
        "task_scores": summary(found.scored),
        "layer_by_task": layers,
        "degraded": [
            {"task": task, "code": code, "served_by": _served_by(task, layers[task])} for task, code in degraded
        ],
        "input_flags": [flag._asdict() for flag in customer.flags],
        "model": {"dataset": bundle.manifest["dataset"], "versions": bundle.manifest["versions"]},
        "bundle_id": bundle.bundle_id,
        "steps_absent": ports.steps_absent,
        "latency_ms": _milliseconds(started, ports),
    }
    if ports.audit is not None:
        ports.audit.append(answer)
    return answer


def _served_by(task: str, layer: int) -> str:
    """Return what serves a task, or gives the shares of products, where a layer above cannot."""
    below = (HOLDINGS, COUNTS) if task == PRODUCT_MODEL else (DIRECT, RULES)
    return below[0] if layer == 2 else below[1]


def _request_id(context: Any) -> str:
    given = getattr(context, "aws_request_id", None)
    return given if isinstance(given, str) else os.urandom(16).hex()


def _id_or_none(entry: Any) -> str | None:
    try:
        return request_id_of(entry)
    except ServingError:
        return None


def _milliseconds(started: float, ports: Ports) -> float:
    return round((ports.clock.seconds() - started) * 1000.0, 3)


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
