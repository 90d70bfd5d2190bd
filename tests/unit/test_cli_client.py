"""When `event-trio` asks again: as long as nobody knows whether a change was made, and never otherwise."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tools.cli import client
from tools.cli.client import IN_USE, KEY, ApiClient
from tools.cli.errors import CommandFailed

DONE = httpx.Response(200, json={"paused": True})
BUSY = httpx.Response(409, json={"type": IN_USE, "title": "busy", "correlation_id": "c"})
SLOW, BROKEN, AWAY = httpx.ReadTimeout(""), httpx.RemoteProtocolError("gone"), httpx.ConnectError("refused")

Outcome = httpx.Response | httpx.TransportError


class Network:
    """What comes of one request after the other, and the keys that they had."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.keys: list[str | None] = []

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        self.keys.append(request.get("headers", {}).get(KEY))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, httpx.TransportError):
            raise outcome
        return outcome


def api(monkeypatch: pytest.MonkeyPatch, network: Network, say: Callable[[str], None] = print) -> ApiClient:
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(httpx.Client, "request", lambda _, *given, **request: network.request(*given, **request))
    return ApiClient("http://127.0.0.1:1", None, url_option="", name="the relay", say=say)


@pytest.mark.parametrize("outcomes", [(DONE,), (SLOW, BUSY, DONE), (BROKEN, AWAY, DONE)])
def test_a_change_goes_again_under_its_key(monkeypatch: pytest.MonkeyPatch, outcomes: tuple[Outcome, ...]) -> None:
    network = Network(*outcomes)
    assert api(monkeypatch, network).post("/v1/outbox/pause", {}) == {"paused": True}
    assert len(network.keys) == len(outcomes)
    assert len(set(network.keys)) == 1
    assert None not in network.keys


def test_each_change_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(DONE, DONE)
    service = api(monkeypatch, network)
    for _ in range(2):
        service.post("/v1/outbox/pause", {})
    assert len(set(network.keys)) == 2


@pytest.mark.parametrize(
    ("outcomes", "said", "unknown"),
    [((AWAY,), "cannot reach", False), ((BUSY,), "busy", False), ((SLOW, BROKEN, AWAY), "gone", True)],
)
def test_it_ends_with_what_is_known(
    monkeypatch: pytest.MonkeyPatch, outcomes: tuple[Outcome, ...], said: str, unknown: bool
) -> None:
    network = Network(*outcomes)
    with pytest.raises(CommandFailed, match=said) as failed:
        api(monkeypatch, network).post("/v1/outbox/pause", {})
    assert ("may have been done" in str(failed.value)) is unknown
    assert network.outcomes == []


def test_a_look_goes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(SLOW)
    with pytest.raises(CommandFailed, match="no answer"):
        api(monkeypatch, network).get("/v1/outbox")
    assert network.keys == [None]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            {"location": "body", "field": "per_second", "detail": "Input should be less than 1000"},
            "; --rate: Input should",
        ),
        ({"location": "body", "field": "", "detail": "Value error, say which"}, "; say which"),
        ({"location": "path", "field": "subject", "detail": "no pattern"}, "; the group: no pattern"),
    ],
)
def test_what_is_wrong_is_told_by_the_option_that_it_came_from(
    monkeypatch: pytest.MonkeyPatch, error: dict[str, str], said: str
) -> None:
    problem = {"type": "urn:x", "title": "Not valid", "correlation_id": "c", "errors": [error]}
    with pytest.raises(CommandFailed) as failed:
        api(monkeypatch, Network(httpx.Response(422, json=problem))).post("/v1/outbox/pause", {})
    assert str(failed.value).startswith(f"Not valid{said}")


def test_who_waits_is_told_what_for_and_that_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    told = threading.Event()

    class Patient(Network):
        """Answers only when the person who waits was told."""

        def request(self, method: str, path: str, **request: Any) -> httpx.Response:
            assert told.wait(10)
            return super().request(method, path, **request)

    def say(text: str) -> None:
        said.append(text)
        told.set()

    service = api(monkeypatch, Patient(SLOW, DONE), say=say)
    monkeypatch.setattr(client, "NOTICE_AFTER_SECONDS", 0.0)
    service.post("/v1/outbox/pause", {})
    assert any("waiting for the answer of the relay (http://127.0.0.1:1), up to 30 s" in text for text in said)
    assert any("asking again under the same key: nothing is done twice (1 of 2)" in text for text in said)
