"""The local server answers over real HTTP on the loopback address."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_lambda import handler as handler_module
from serving_lambda import local


@pytest.fixture
def address(serving: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(local, "HOLDER", handler_module.HOLDER)
    with local.serve(0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://{server.server_address[0]}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def ask(url: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body)) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_request_over_http_is_answered_as_the_handler_answers(
    address: str, request_for: Callable[..., dict[str, Any]], serving: Callable[..., dict[str, Any]]
) -> None:
    assert address.startswith("http://127.0.0.1:")
    status, answer = ask(address, json.dumps(request_for(0)).encode())
    assert status == 200
    assert answer["recommendations"] == json.loads(json.dumps(serving(request_for(0))["recommendations"]))


def test_health_names_the_bundle_and_refuses_other_paths(address: str, bundle_folder: Path) -> None:
    status, told = ask(f"{address}/health")
    assert (status, told["bundle_id"]) == (200, bundle_folder.name)
    assert told["layer_by_task"]["churn_signal"] == 1
    assert ask(f"{address}/other")[0] == 405


def test_errors_carry_their_status(address: str) -> None:
    assert ask(address, b"{")[0] == 400
    assert ask(address, b" " * (local.MAXIMUM_BYTES + 1))[1]["error"]["code"] == "BODY_TOO_LARGE"


def test_without_a_bundle_the_command_ends_with_its_code(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delenv("FINAI_BUNDLE", raising=False)
    monkeypatch.setenv("FINAI_SIGNING_KEY", "00" * 32)
    monkeypatch.setattr(local, "HOLDER", handler_module.Holder())
    with pytest.raises(SystemExit) as ended:
        local.main([])
    assert ended.value.code == 1
    assert "BUNDLE_NOT_CONFIGURED" in capsys.readouterr().err
