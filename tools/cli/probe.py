"""Sends health requests to several processes at once, with one deadline for all of them."""

from __future__ import annotations

import ipaddress
import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

import httpx
import typer

TIMEOUT_VARIABLE = "EVENT_TRIO_TIMEOUT_SECONDS"
LOCAL_SECONDS, REMOTE_SECONDS = 1.0, 2.0
"""Default timeouts of a health request to this machine and to another one."""

T = TypeVar("T")


class PendingReplies(Generic[T]):
    """Requests in progress, each in a daemon thread, so that one without a timeout does not delay the exit."""

    def __init__(self, requests: Mapping[str, Callable[[], T]], seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._arrived: queue.Queue[tuple[str, T]] = queue.Queue()
        self._replies: dict[str, T] = {}
        for name, request in requests.items():
            threading.Thread(target=self._run, args=(name, request), daemon=True).start()

    def get(self, name: str) -> T | None:
        """Wait for the reply to one request; None when the deadline passes first."""
        while name not in self._replies:
            left = self._deadline - monotonic()
            try:
                arrived, reply = self._arrived.get(timeout=max(0.0, left))
            except queue.Empty:
                return None
            self._replies[arrived] = reply
        return self._replies[name]

    def _run(self, name: str, request: Callable[[], T]) -> None:
        self._arrived.put((name, request()))


@dataclass(frozen=True)
class ProbeReply:
    """The response to a request, or the reason why there is none."""

    response: httpx.Response | None = None
    failure: str = ""
    refused: bool = False

    @property
    def service(self) -> str | None:
        """The name of the service in the response."""
        name = self.json.get("service")
        return name if isinstance(name, str) else None

    @property
    def json(self) -> dict[str, object]:
        """The JSON object of the response; empty when there is none."""
        try:
            found = self.response.json() if self.response is not None else None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the outbox without labels in a response of /metrics; those without a value are omitted."""
        found = {}
        text = self.response.text if self.response is not None and self.response.is_success else ""
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name.startswith("outbox_") and "{" not in name and value not in {"", "NaN"}:
                found[name] = float(value)
        return found


class ProbeClient:
    """Sends requests with the timeout of their address."""

    def __init__(self) -> None:
        self._clients: dict[tuple[bool, bool], httpx.Client] = {}

    def request(self, url: str, path: str) -> Callable[[], ProbeReply]:
        """Prepare a request; calling the result sends it."""
        self._prepare(url)
        return lambda: self._send(url, path)

    def _prepare(self, url: str) -> None:
        """Create the HTTP client before any request is sent: loading the TLS certificates takes long."""
        local, plain = kind = _client_kind(url)
        if kind not in self._clients:
            # A proxy of the environment is not used for loopback addresses.
            self._clients[kind] = httpx.Client(
                timeout=timeout_for(url),
                trust_env=not local,
                verify=not (local and plain),
                headers={"Connection": "close"},
            )

    def _send(self, url: str, path: str) -> ProbeReply:
        try:
            response = self._clients[_client_kind(url)].get(f"{url.rstrip('/')}{path}")
        except httpx.ConnectError as error:
            return ProbeReply(failure=str(error), refused="refused" in str(error).lower())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return ProbeReply(failure=str(error) or type(error).__name__)
        return ProbeReply(response)


def timeout_for(*urls: str) -> float:
    """The longest timeout of these addresses, in seconds.

    Raises typer.BadParameter when EVENT_TRIO_TIMEOUT_SECONDS is not a number.
    """
    given = os.environ.get(TIMEOUT_VARIABLE)
    if given:
        try:
            return min(60.0, max(0.1, float(given)))
        except ValueError:
            raise typer.BadParameter(f"{TIMEOUT_VARIABLE} is {given!r}, which is not a number of seconds") from None
    return max((LOCAL_SECONDS if is_loopback(url) else REMOTE_SECONDS for url in urls), default=LOCAL_SECONDS)


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False


def _client_kind(url: str) -> tuple[bool, bool]:
    return is_loopback(url), url.startswith("http://")
