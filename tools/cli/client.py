"""An HTTP client of a service's operations API, which turns every failure into a message with the remedy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from event_trio.errors import ConfigurationError
from event_trio.http_client import client as outbound_http
from event_trio.urls import http_url
from tools.cli import problems
from tools.cli.bearer import Bearer
from tools.cli.errors import CommandFailed, ResponseLost

READ_SECONDS = 10.0
"""Timeout of a read; every read is cheap."""
CHANGE_SECONDS = 30.0
"""Timeout of a change."""
NOTICE_AFTER_SECONDS = 3.0
"""When the command reports what it waits for."""
KEY = "Idempotency-Key"
IN_USE = "urn:problem-type:idempotency-key-in-use"
# How often a change is retried with its key when the response was lost.
RETRIES = 2
RETRY_PAUSE_SECONDS = 0.5
NOT_SENT = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    *(httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL),
)
"""The errors after which the service cannot have received the request."""
PAGE = 100

Answer = dict[str, Any]


class ApiClient:
    """A client of one service. Every call may raise CommandFailed.

    `hint` says how another address is given; `notify` receives remarks for a person who waits.
    """

    def __init__(
        self,
        url: str,
        bearer: Bearer | None,
        *,
        hint: str,
        name: str = "",
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._url = url.rstrip("/")
        self._bearer = bearer
        self._hint = hint
        self._notify = notify
        self.name = name
        headers = {"Authorization": f"Bearer {bearer.token}"} if bearer else {}
        try:
            # A proxy of the environment is not used for loopback addresses.
            self._http = outbound_http.client(http_url(self._url), headers=headers, timeout=READ_SECONDS)
        except UnicodeEncodeError as error:
            raise CommandFailed(f"the token cannot be used: {error}") from None
        except ValueError as error:
            raise CommandFailed(f"the address {self._url!r} {error}. {hint}") from None
        except ConfigurationError as error:
            raise CommandFailed(str(error)) from None

    @property
    def label(self) -> str:
        """The name and the URL of the service."""
        return f"{self.name} ({self._url})" if self.name else self._url

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Answer:
        """Read `path`; parameters that are None are omitted. Raises NotFound."""
        given = {
            name: [*map(str, value)] if isinstance(value, list) else str(value)
            for name, value in (params or {}).items()
            if value is not None
        }
        return self._decode(self._send("GET", path, params=given))

    def readiness(self) -> Answer:
        """The readiness page, or a failed check when it does not answer soon."""
        try:
            found = problems.decode(self._http.get("/readyz", timeout=NOTICE_AFTER_SECONDS))
        except httpx.HTTPError:
            return {"checks": {"readiness": {"ok": False, "detail": "/readyz does not answer"}}}
        return found if isinstance(found, dict) else {}

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Apply a change once, even if a response is lost; fields that are None are omitted."""
        given = {name: value for name, value in body.items() if value is not None}
        return self._decode(self._change(path, json=given, headers={KEY: str(uuid4())}))

    def list(self, path: str, params: Mapping[str, object], *, limit: int) -> Answer:
        """The first `limit` items of a list, read page by page."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            size = min(PAGE, limit - len(items))
            page = self.get(path, {**params, "limit": size, "cursor": cursor})
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= limit:
                return {"items": items, "next_cursor": cursor}

    def _change(self, path: str, **request: Any) -> httpx.Response:
        """Send a change, and retry it with the same key while it is unknown whether it was applied."""
        lost: ResponseLost | None = None
        began = time.monotonic()
        for retry in range(1 + RETRIES):
            if lost is not None:
                if time.monotonic() - began > NOTICE_AFTER_SECONDS:
                    self._notify(f"{lost}; retrying with the same Idempotency-Key ({retry} of {RETRIES})")
                time.sleep(RETRY_PAUSE_SECONDS)
            try:
                with self._notice():
                    response = self._send("POST", path, **request)
            except ResponseLost as failure:
                lost = failure
            except CommandFailed:
                # Either nothing was sent yet, or the service that lost the response is restarting.
                if lost is None:
                    raise
            else:
                if lost is None or not _is_in_use(response):
                    return response
        raise CommandFailed(f"{lost}. The change may have been applied. Check before you retry")

    @contextmanager
    def _notice(self) -> Iterator[None]:
        """Notify the person who waits if the response takes long."""
        text = f"waiting up to {CHANGE_SECONDS:.0f} s for {self.label}"
        timer = threading.Timer(NOTICE_AFTER_SECONDS, self._notify, [text])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        seconds = READ_SECONDS if method == "GET" else CHANGE_SECONDS
        try:
            return self._http.request(method, path, timeout=seconds, **request)
        except UnicodeEncodeError:
            raise CommandFailed("the arguments are not valid UTF-8") from None
        except NOT_SENT as error:
            raise CommandFailed(
                f"cannot reach {self._url} ({error or type(error).__name__}). Is the service running, and is the "
                f"address correct? {self._hint}"
            ) from None
        except httpx.TimeoutException:
            raise ResponseLost(f"{self.label} did not respond within {seconds:.0f} s; see its /readyz") from None
        except httpx.TransportError as error:
            raise ResponseLost(f"the connection to {self.label} failed ({error or type(error).__name__})") from None

    def _decode(self, response: httpx.Response) -> Answer:
        body = problems.decode(response)
        if response.is_success and isinstance(body, dict):
            return body
        problem = body if isinstance(body, dict) else None
        raise problems.failure(response, problem, self._bearer, label=self.label, url=self._url, hint=self._hint)


def segment(text: str) -> str:
    """The text quoted as one segment of a path."""
    return quote(text, safe="")


def _is_in_use(response: httpx.Response) -> bool:
    """Whether the service still processes the earlier request with the same key."""
    problem = problems.decode(response) if response.status_code == 409 else None
    return isinstance(problem, dict) and problem.get("type") == IN_USE
