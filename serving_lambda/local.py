"""The handler behind a local HTTP server, for trying a bundle out: ``python -m serving_lambda.local --bundle DIR``.

Loopback only. ``POST /`` takes a request or a batch, ``GET /health`` tells which bundle answers.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving_lambda.contract import MAXIMUM_BYTES
from serving_lambda.errors import ServingError
from serving_lambda.handler import HOLDER, handler

LOOPBACK = "127.0.0.1"
PATIENCE_SECONDS = 10


class Endpoint(BaseHTTPRequestHandler):
    """Turns HTTP requests into function-URL events."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_SECONDS

    def do_POST(self) -> None:
        """Answer a request or a batch."""
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAXIMUM_BYTES:
            self.close_connection = True  # the body is left unread
            error = ServingError("BODY_TOO_LARGE", f"send a content-length of at most {MAXIMUM_BYTES} bytes")
            self._send(error.status, json.dumps(error.as_dict()))
            return
        body = self.rfile.read(int(length)).decode("utf-8", "replace")
        answer = handler({"requestContext": {"http": {"method": "POST"}}, "body": body})
        self._send(answer["statusCode"], answer["body"])

    def do_GET(self) -> None:
        """Tell which bundle answers, or why none does."""
        if self.path != "/health":
            error = ServingError("METHOD_NOT_ALLOWED", "POST / or GET /health")
            self._send(error.status, json.dumps(error.as_dict()))
            return
        try:
            bundle = HOLDER.get()
            told = {"bundle_id": bundle.bundle_id, "layer_by_task": bundle.layer_by_task}
            self._send(200, json.dumps(told))
        except ServingError as error:
            self._send(error.status, json.dumps(error.as_dict()))

    def _send(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Keep quiet: request lines may hold what a log should not."""


def serve(port: int) -> ThreadingHTTPServer:
    """Return a server bound to the loopback address; port 0 takes a free one."""
    return ThreadingHTTPServer((LOOPBACK, port), Endpoint)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m serving_lambda.local", description=__doc__)
    parser.add_argument("--bundle", help="folder of the bundle; default: the environment's FINAI_BUNDLE")
    parser.add_argument("--port", type=int, default=8080)
    chosen = parser.parse_args(arguments)
    if chosen.bundle:
        os.environ["FINAI_BUNDLE"] = chosen.bundle
    try:
        bundle = HOLDER.get()
    except ServingError as error:
        parser.exit(1, f"{error.code}: {error.message} ({error.field})\n")
    with serve(chosen.port) as server:
        print(f"bundle {bundle.bundle_id} at http://{LOOPBACK}:{server.server_address[1]}/", flush=True)  # noqa: T201
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
