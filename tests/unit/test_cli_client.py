"""`event-trio` retries a change while it is unknown whether it was applied, and nothing else."""

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
    """Answers each request with the next outcome, and records the idempotency keys."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.keys: list[str | None] = []

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        self.keys.append(request.get("headers", {}).get(KEY))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, httpx.TransportError):
            raise outcome
        return outcome


def api(monkeypatch: pytest.MonkeyPatch, network: Network, notify: Callable[[str], None] = print) -> ApiClient:
    monkeypatch.setattr(client, "RETRY_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(httpx.Client, "request", lambda _, *given, **request: network.request(*given, **request))
    return ApiClient("http://127.0.0.1:1", None, hint="", name="the relay", notify=notify)


@pytest.mark.parametrize("outcomes", [(DONE,), (SLOW, BUSY, DONE), (BROKEN, AWAY, DONE)])
def test_a_change_is_retried_with_its_key(monkeypatch: pytest.MonkeyPatch, outcomes: tuple[Outcome, ...]) -> None:
    network = Network(*outcomes)
    assert api(monkeypatch, network).post("/v1/outbox/pause", {}) == {"paused": True}
    assert len(network.keys) == len(outcomes)
    assert len(set(network.keys)) == 1
    assert None not in network.keys


def test_each_change_has_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(DONE, DONE)
    service = api(monkeypatch, network)
    for _ in range(2):
        service.post("/v1/outbox/pause", {})
    assert len(set(network.keys)) == 2


@pytest.mark.parametrize(
    ("outcomes", "message", "unknown"),
    [((AWAY,), "cannot reach", False), ((BUSY,), "busy", False), ((SLOW, BROKEN, AWAY), "gone", True)],
)
def test_the_error_says_whether_the_change_may_have_been_applied(
    monkeypatch: pytest.MonkeyPatch, outcomes: tuple[Outcome, ...], message: str, unknown: bool
) -> None:
    network = Network(*outcomes)
    with pytest.raises(CommandFailed, match=message) as failed:
        api(monkeypatch, network).post("/v1/outbox/pause", {})
    assert ("may have been applied" in str(failed.value)) is unknown
    assert network.outcomes == []


def test_a_read_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(SLOW)
    with pytest.raises(CommandFailed, match="did not respond"):
        api(monkeypatch, network).get("/v1/outbox")
    assert network.keys == [None]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            {"location": "body", "field": "per_second", "detail": "Input should be less than 1000"},
            "; --rate: Input should",
        ),
        ({"location": "body", "field": "", "detail": "Value error, say which"}, "; say which"),
        ({"location": "path", "field": "subject", "detail": "no pattern"}, "; the group: no pattern"),
    ],
)
def test_a_validation_error_names_the_option(
    monkeypatch: pytest.MonkeyPatch, error: dict[str, str], message: str
) -> None:
    problem = {"type": "urn:x", "title": "Not valid", "correlation_id": "c", "errors": [error]}
    with pytest.raises(CommandFailed) as failed:
        api(monkeypatch, Network(httpx.Response(422, json=problem))).post("/v1/outbox/pause", {})
    assert str(failed.value).startswith(f"Not valid{message}")


def test_a_long_wait_and_a_retry_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[str] = []
    notified = threading.Event()

    class SlowNetwork(Network):
        """Answers only after the first notice."""

        def request(self, method: str, path: str, **request: Any) -> httpx.Response:
            assert notified.wait(10)
            return super().request(method, path, **request)

    def notify(text: str) -> None:
        notices.append(text)
        notified.set()

    service = api(monkeypatch, SlowNetwork(SLOW, DONE), notify=notify)
    monkeypatch.setattr(client, "NOTICE_AFTER_SECONDS", 0.0)
    service.post("/v1/outbox/pause", {})
    assert any("waiting up to 30 s for the relay (http://127.0.0.1:1)" in text for text in notices)
    assert any("retrying with the same Idempotency-Key (1 of 2)" in text for text in notices)
