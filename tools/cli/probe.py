"""Asks processes whether they live, all at once and within a time that does not depend on who answers."""

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
NEAR_SECONDS, FAR_SECONDS = 1.0, 2.0
"""How long a process that lives may take to say so, on this machine and elsewhere."""

T = TypeVar("T")


class PendingReplies(Generic[T]):
    """Questions that are on their way, each in a thread that nobody waits for at the end."""

    def __init__(self, questions: Mapping[str, Callable[[], T]], seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._answers: queue.Queue[tuple[str, T]] = queue.Queue()
        self._known: dict[str, T] = {}
        for name, question in questions.items():
            threading.Thread(target=self._ask, args=(name, question), daemon=True).start()

    def answer(self, name: str) -> T | None:
        """The answer to one of them; None when there was none in time."""
        while name not in self._known:
            left = self._deadline - monotonic()
            try:
                found, answer = self._answers.get(timeout=max(0.0, left))
            except queue.Empty:
                return None
            self._known[found] = answer
        return self._known[name]

    def _ask(self, name: str, question: Callable[[], T]) -> None:
        self._answers.put((name, question()))


@dataclass(frozen=True)
class ProbeReply:
    """What came of one request: an answer, or why there was none."""

    response: httpx.Response | None = None
    failure: str = ""
    refused: bool = False
    seconds: float = 0.0

    @property
    def name(self) -> str | None:
        """What the process calls itself, if the answer says it."""
        found = self.json.get("service")
        return found if isinstance(found, str) else None

    @property
    def json(self) -> dict[str, object]:
        """The answer's object; empty when it is none."""
        try:
            found = self.response.json() if self.response is not None else None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def metrics(self) -> dict[str, float]:
        """The figures without labels of an answer of /metrics; those that nobody knows are left out."""
        found = {}
        text = self.response.text if self.response is not None and self.response.is_success else ""
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name.startswith("outbox_") and "{" not in name and value not in {"", "NaN"}:
                found[name] = float(value)
        return found


class ProbeClient:
    """Sends requests that are given up when the patience with their address is at its end."""

    def __init__(self) -> None:
        self._clients: dict[tuple[bool, bool], httpx.Client] = {}

    def question(self, url: str, path: str) -> Callable[[], ProbeReply]:
        """A request that is not sent yet."""
        return lambda: self._send(url, path)

    def prepare(self, url: str) -> None:
        """Make the client for an address; one that may need TLS takes a while."""
        local, plain = kind = _kind(url)
        if kind not in self._clients:
            # A proxy of the environment's is for the world outside, not for this machine.
            self._clients[kind] = httpx.Client(
                timeout=timeout_for(url),
                trust_env=not local,
                verify=not (local and plain),
                # One question each: nothing is left open.
                headers={"Connection": "close"},
            )

    def _send(self, url: str, path: str) -> ProbeReply:
        began = monotonic()
        try:
            response = self._clients[_kind(url)].get(f"{url.rstrip('/')}{path}")
        except httpx.ConnectError as error:
            return ProbeReply(failure=str(error), refused="refused" in str(error).lower(), seconds=monotonic() - began)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
            return ProbeReply(failure=str(error) or type(error).__name__, seconds=monotonic() - began)
        return ProbeReply(response, seconds=monotonic() - began)


def _kind(url: str) -> tuple[bool, bool]:
    return is_loopback(url), url.startswith("http://")


def timeout_for(*urls: str) -> float:
    """For how many seconds to wait for the slowest of these; raises typer.BadParameter when the variable is none."""
    given = os.environ.get(TIMEOUT_VARIABLE)
    if given:
        try:
            return min(60.0, max(0.1, float(given)))
        except ValueError:
            raise typer.BadParameter(f"{TIMEOUT_VARIABLE} is {given!r}, which is no number of seconds") from None
    return max((NEAR_SECONDS if is_loopback(url) else FAR_SECONDS for url in urls), default=NEAR_SECONDS)


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False
