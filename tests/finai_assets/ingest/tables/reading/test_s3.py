"""Sources in S3, and a store that throttles."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_fixtures import KEYS, endpoint

from finai_assets.ingest.tables.reading import s3
from finai_resources.errors import ConfigError, ContractError

__all__ = ["endpoint"]  # a fixture
SLOW = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"bank-{abs(hash(request.node.name))}"
    boto3.client("s3", endpoint_url=endpoint, **KEYS).create_bucket(Bucket=name)
    for variable, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("FINAI_S3_ENDPOINT", endpoint),
    ):
        monkeypatch.setenv(variable, value)
    return name


@pytest.fixture
def put(endpoint: str, bucket: str) -> Callable[[str, bytes], None]:
    client = boto3.client("s3", endpoint_url=endpoint, **KEYS)
    return lambda key, body: client.put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture
def throttling(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Put a store between, which answers the next ``left`` requests with SlowDown; pauses are counted, not slept."""
    state = {"left": 0, "answered": 0}

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if state["left"]:
                state["left"] -= 1
                state["answered"] += 1
                self._answer(503, {"Content-Type": "application/xml"}, SLOW)
                return
            wanted = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            asked = urllib.request.Request(endpoint + self.path, headers=wanted, method=self.command)
            try:
                with urllib.request.urlopen(asked) as reply:
                    self._answer(reply.status, dict(reply.headers), reply.read())
            except urllib.error.HTTPError as refused:
                self._answer(refused.code, dict(refused.headers), refused.read())

        do_HEAD = do_GET  # noqa: N815 - the server's name

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("FINAI_S3_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    plain = s3.Bucket.from_environment
    monkeypatch.setattr(s3.Bucket, "from_environment", classmethod(lambda kind: _patient(plain(), slept)))
    return slept


def _patient(bucket: s3.Bucket, slept: list[float]) -> s3.Bucket:
    return s3.Bucket(bucket.filesystem, slept.append)


def parquet(ids: list[int]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ids}), sink)
    return sink.getvalue().to_pybytes()


def test_objects_are_found_by_the_rules_of_files(bucket, put, read, values, tmp_path):
    put("core/TRANS.CSV", b"id,w\n1,a\n")
    put("core/parts/month=1993-01/part-0.parquet", parquet([5]))
    put("core/parts/_SUCCESS", b"")
    rows = read(None, path=f"s3://{bucket}/core/trans.csv")
    assert values(rows) == [("1", "a")]
    assert rows.shown == f"s3://{bucket}/core/TRANS.CSV"
    (tmp_path / "TRANS.CSV").write_bytes(b"id,w\n1,a\n")
    assert read(path="trans").files == rows.files  # the same content, wherever it lies
    assert values(read(None, path=f"s3://{bucket}/core/parts")) == [(5, "1993-01")]
    assert values(read(None, path=f"s3://{bucket}/core/*.csv")) == [("1", "a")]
    with pytest.raises(ContractError, match=r"no file 'core/tran.csv'"):
        read(None, path=f"s3://{bucket}/core/tran.csv")


def test_an_object_is_fetched_again_only_when_it_changed(bucket, put, read, values, monkeypatch):
    monkeypatch.setattr(s3, "SETTLED_NS", -1)  # it was put a moment ago
    put("trans.csv", b"id,w\n1,a\n")
    rows = read(None, path=f"s3://{bucket}/trans.csv")
    with monkeypatch.context() as patch:
        patch.setattr(s3.Bucket, "fetch", lambda *_: pytest.fail("it was fetched again"))
        assert read(None, path=f"s3://{bucket}/trans.csv").parquet == rows.parquet
    put("trans.csv", b"id,w\n1,a\n2,b\n")
    assert len(values(read(None, path=f"s3://{bucket}/trans.csv"))) == 2


@pytest.mark.parametrize("times", [1, 3, 6])
def test_a_store_that_asks_for_slower_requests_is_waited_for_longer_each_time(
    bucket, put, throttling, pauses, read, values, times
):
    put("trans.csv", b"id,w\n1,a\n")
    throttling["left"] = times
    assert values(read(None, path=f"s3://{bucket}/trans.csv")) == [("1", "a")]
    assert throttling["answered"] == times
    assert pauses == list(s3.PAUSES[:times])
    assert pauses == sorted(set(pauses))


def test_a_store_that_never_stops_throttling_is_one_error_that_says_so(bucket, put, throttling, pauses, read):
    put("trans.csv", b"id,w\n1,a\n")
    throttling["left"] = 1000
    with pytest.raises(ContractError, match=rf"s3://{bucket}.*S3 throttled 7 requests in a row") as caught:
        read(None, path=f"s3://{bucket}/trans.csv")
    assert pauses == list(s3.PAUSES)
    assert "Traceback" not in str(caught.value)


def test_another_refusal_is_told_at_once(bucket, put, pauses, read):
    with pytest.raises(ContractError, match=r"s3://no-such-bucket|there is no folder"):
        read(None, path="s3://no-such-bucket/trans.csv")
    assert not pauses


def test_missing_credentials_are_named(read, monkeypatch):
    monkeypatch.setattr(s3.boto3.Session, "get_credentials", lambda self: None)
    with pytest.raises(ConfigError, match="no S3 credentials"):
        read(None, path="s3://bank/trans.csv")
