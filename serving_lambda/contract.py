"""What a request may hold, checked field by field before anything else looks at it.

A request that breaks the form (an unknown field, a wrong type, a feature too few) is refused with a code. A well-formed request
whose values lie outside the bundle's contract (a range, a null where the column allows none) is flagged (:class:`Flag`), and the
models that read such a column are not asked.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from serving_lambda.errors import ServingError
from serving_lambda.standing import FIELDS as STANDING_FIELDS
from serving_lambda.standing import UNKNOWN, Standing, channel_of, standing_of, whole

if TYPE_CHECKING:
    from serving_lambda.bundle import Bundle
    from serving_lambda.ports import ContactHistory, FeatureStore, StandingStore

MAXIMUM_BYTES = 256 * 1024
MAXIMUM_BATCH = 100
MAXIMUM_K = 20
MAXIMUM_ID_CHARACTERS = 128
OLDEST = 130
LOCALES = ("ko", "en")
FIELDS = ("customer_id", "features", "held", "segment", "age", *STANDING_FIELDS, "channel", "locale", "k", "request_id")
SHOWN = 5  # names in a message

_INT64 = 1 << 63
_HALF = rb"\ud"  # how JSON begins to spell one half of a surrogate pair


class Flag(NamedTuple):
    """A value outside the contract: the column, and ``null``, ``below`` or ``above``."""

    column: str
    problem: str


class Customer(NamedTuple):
    """One customer as the scorer sees them.

    ``row`` holds the contract's columns in order (float32; NaN where null), ``held`` product ids, ``contacts`` the number of
    recent messages about products, by id, ``standing`` what decides whether and what may be offered.
    """

    customer_id: int | None
    row: Sequence[float]
    held: frozenset[int]
    age: int | None
    segment: str | None
    flags: tuple[Flag, ...]
    contacts: Mapping[int, int] = MappingProxyType({})
    standing: Standing = UNKNOWN


class Request(NamedTuple):
    """One checked request; ``channel`` is that on which the answer is to reach the customer, None where none is named."""

    customer: Customer
    k: int
    locale: str
    request_id: str | None
    channel: str | None


def body_of(event: Any) -> tuple[Any, bool]:
    """Return the request in an event and whether it came over HTTP (API Gateway proxy, REST or HTTP, or function URL).

    Raises
    ------
    ServingError
        ``METHOD_NOT_ALLOWED``, ``BODY_TOO_LARGE``, ``BODY_NOT_JSON``.
    """
    if not isinstance(event, dict):
        raise ServingError("BODY_NOT_JSON", "the event is a JSON object")
    if not is_http(event):
        if len(_as_text(event)) > MAXIMUM_BYTES:
            raise ServingError("BODY_TOO_LARGE", f"a request has at most {MAXIMUM_BYTES} bytes")
        return event, False
    http = (event.get("requestContext") or {}).get("http") or {}
    method = event.get("httpMethod") or http.get("method") or "POST"
    if method != "POST":
        raise ServingError("METHOD_NOT_ALLOWED", "use POST")
    return _parsed(event.get("body"), bool(event.get("isBase64Encoded"))), True


def is_http(event: Any) -> bool:
    """Tell whether an event is an HTTP envelope."""
    return isinstance(event, dict) and ("httpMethod" in event or "requestContext" in event)


def _parsed(body: Any, encoded: bool) -> Any:
    if not isinstance(body, str) or not body:
        raise ServingError("BODY_NOT_JSON", "the body is a JSON object")
    raw = body.encode("utf-8", "replace")
    if len(raw) > MAXIMUM_BYTES * (2 if encoded else 1):
        raise ServingError("BODY_TOO_LARGE", f"a request has at most {MAXIMUM_BYTES} bytes")
    try:
        if encoded:
            import base64  # noqa: PLC0415 -- seldom needed, and the cold start pays for each import

            raw = base64.b64decode(raw, validate=True)
            if len(raw) > MAXIMUM_BYTES:
                raise ServingError("BODY_TOO_LARGE", f"a request has at most {MAXIMUM_BYTES} bytes")
        parsed = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ServingError("BODY_NOT_JSON", "the body is not JSON") from None
    if _HALF in raw.lower():
        _as_text(parsed)
    return parsed


def _as_text(parsed: Any) -> bytes:
    """Return parsed JSON as UTF-8; half a surrogate pair, which JSON can spell, is no text that an answer could repeat."""
    try:
        return json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ServingError("BODY_NOT_JSON", "a text holds half a surrogate pair") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON; null stands for a missing value


def requests_of(body: Any) -> tuple[list[Any], bool]:
    """Return the single requests of a body and whether it was a batch."""
    if isinstance(body, dict) and "requests" in body:
        if unknown := sorted(set(body) - {"requests"}):
            raise ServingError("FIELD_UNKNOWN", "beside `requests` a batch has no field", str(unknown[0]))
        batch = body["requests"]
        if not isinstance(batch, list) or not batch:
            raise ServingError("FIELD_TYPE", "a list of at least one request", "requests")
        if len(batch) > MAXIMUM_BATCH:
            raise ServingError("BATCH_TOO_LARGE", f"{len(batch)} requests, at most {MAXIMUM_BATCH}", "requests")
        return batch, True
    return [body], False


def parse(
    body: Any,
    bundle: Bundle,
    store: FeatureStore | None = None,
    history: ContactHistory | None = None,
    standings: StandingStore | None = None,
) -> Request:
    """Check one request against the form and the bundle's contract.

    Parameters
    ----------
    store
        Gives the features of a customer whose request brings none.
    history
        Tells what the customer was lately written about.
    standings
        Tells what the request leaves out of the customer's standing.

    Raises
    ------
    ServingError
        A ``FIELD_*`` or ``FEATURE*`` code, with the field.
    """
    if not isinstance(body, dict):
        raise ServingError("FIELD_TYPE", "a request is a JSON object")
    if unknown := sorted(set(body) - set(FIELDS)):
        raise ServingError("FIELD_UNKNOWN", f"allowed: {', '.join(FIELDS)}", str(unknown[0])[:MAXIMUM_ID_CHARACTERS])
    customer_id = _customer_id(body.get("customer_id"))
    row, flags = _features(_given(body, customer_id, store), bundle)
    held, age, segment = _held(body, bundle), whole(body.get("age"), "age", 0, OLDEST), _segment(body, bundle)
    contacts = history.recent(customer_id) if history and customer_id is not None else {}
    standing = standing_of(body, bundle.offering.asset_bands)
    if standings and customer_id is not None and None in standing:
        standing = standing.filled(standings.standing(customer_id))
    customer = Customer(customer_id, row, held, age, segment, flags, contacts, standing)
    k = whole(body.get("k"), "k", 1, MAXIMUM_K)
    return Request(customer, k or bundle.ranking.top_k, _locale(body), request_id_of(body), channel_of(body))


def request_id_of(body: Any) -> str | None:
    """Return the caller's id of a request.

    Raises
    ------
    ServingError
        It is no text of 1 to 128 characters.
    """
    found = body.get("request_id") if isinstance(body, dict) else None
    if found is None:
        return None
    if not isinstance(found, str):
        raise ServingError("FIELD_TYPE", "text", "request_id")
    if not 0 < len(found) <= MAXIMUM_ID_CHARACTERS:
        raise ServingError("FIELD_VALUE", f"1 to {MAXIMUM_ID_CHARACTERS} characters", "request_id")
    return found


def _customer_id(found: Any) -> int | None:
    """Read a 64-bit id; text is taken too, since many JSON readers round integers above 2^53."""
    if found is None:
        return None
    if isinstance(found, str) and found.isascii() and 0 < len(found) <= 20 and found.lstrip("-").isdigit():
        try:
            found = int(found)
        except ValueError:
            raise ServingError("FIELD_VALUE", "a 64-bit whole number", "customer_id") from None
    if isinstance(found, bool) or not isinstance(found, int):
        raise ServingError("FIELD_TYPE", "a whole number, or text of one", "customer_id")
    if not -_INT64 <= found < _INT64:
        raise ServingError("FIELD_VALUE", "a 64-bit whole number", "customer_id")
    return found


def _segment(body: Mapping[str, Any], bundle: Bundle) -> str | None:
    found = body.get("segment")
    if found is None:
        return None
    if not isinstance(found, str):
        raise ServingError("FIELD_TYPE", "text", "segment")
    if found not in bundle.segments:
        raise ServingError("FIELD_VALUE", f"one of {', '.join(bundle.segments)}", "segment")
    return found


def _locale(body: Mapping[str, Any]) -> str:
    found = body.get("locale", "ko")
    if not isinstance(found, str):
        raise ServingError("FIELD_TYPE", "text", "locale")
    if found not in LOCALES:
        raise ServingError("FIELD_VALUE", f"one of {', '.join(LOCALES)}", "locale")
    return found


def _held(body: Mapping[str, Any], bundle: Bundle) -> frozenset[int]:
    """Read the products held, each by its code or its id. Without the list a held product might be offered, so it is required."""
    if "held" not in body:
        raise ServingError("FIELD_MISSING", "the products held; an empty list for none", "held")
    found = body["held"]
    if not isinstance(found, list):
        raise ServingError("FIELD_TYPE", "a list of product codes or ids", "held")
    ids, count = bundle.ranking.ids, len(bundle.ranking.products)
    held = set()
    for entry in found:
        if isinstance(entry, str) and entry in ids:
            held.add(ids[entry])
        elif isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < count:
            held.add(entry)
        elif isinstance(entry, (str, int)) and not isinstance(entry, bool):
            raise ServingError("FIELD_VALUE", "a product of the catalogue", "held")
        else:
            raise ServingError("FIELD_TYPE", "a list of product codes or ids", "held")
    return frozenset(held)


def _given(body: Mapping[str, Any], customer_id: int | None, store: FeatureStore | None) -> Any:
    """Return the features of the request, or those that the store keeps."""
    if "features" in body:
        return body["features"]
    if customer_id is None:
        raise ServingError("FIELD_MISSING", "give the customer's features", "features")
    if store is None:
        raise ServingError(
            "FEATURES_REQUIRED", "there is no online store, so a request brings its features", "features"
        )
    if (kept := store.features(customer_id)) is None:
        raise ServingError("FEATURES_REQUIRED", "the online store does not know the customer", "features")
    return kept


def _features(found: Any, bundle: Bundle) -> tuple[array[float], tuple[Flag, ...]]:
    if not isinstance(found, dict):
        raise ServingError("FIELD_TYPE", "an object of column names and numbers", "features")
    place = bundle.place
    if len(found) != len(place) or any(name not in place for name in found):
        if unknown := sorted(str(name) for name in found if name not in place):
            raise ServingError(
                "FEATURE_UNKNOWN", f"{len(unknown)} columns are not in the contract", unknown[0][:MAXIMUM_ID_CHARACTERS]
            )
        missing = [name for name in bundle.names if name not in found]
        raise ServingError(
            "FEATURES_MISSING", f"{len(missing)} columns are missing: {', '.join(missing[:SHOWN])}", missing[0]
        )
    try:
        row = array("f", [_number(name, found[name]) for name in bundle.names])
    except OverflowError:  # a whole number that no float holds
        raise ServingError("FEATURE_TYPE", "a number, or null", "features") from None
    return row, flags_of(row, bundle)


def _number(name: str, value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ServingError("FEATURE_TYPE", "a number, or null", name)
    return value


def flags_of(row: Sequence[float], bundle: Bundle) -> tuple[Flag, ...]:
    """Return what lies outside the contract in a contract row, in column order."""
    flags = []
    for value, (low, high), column in zip(row, bundle.bounds, bundle.columns, strict=True):
        if low <= value <= high and value - value == 0.0:
            continue
        if value != value:  # noqa: PLR0124 -- NaN is the one value that differs from itself
            if not column.nullable:
                flags.append(Flag(column.name, "null"))
        else:
            flags.append(Flag(column.name, "below" if value < low or value == float("-inf") else "above"))
    return tuple(flags)
