"""Speaks to a service's operations API, and says in one sentence what went wrong and what to do."""

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
from tools.cli.bearer import Bearer
from tools.cli.errors import CommandFailed, NotFound, ResponseLost, WrongService

READ_SECONDS = 10.0
"""A look is cheap everywhere: what takes longer hangs."""
CHANGE_SECONDS = 30.0
NOTICE_AFTER_SECONDS = 3.0
"""After so long a person is told what is waited for."""
KEY = "Idempotency-Key"
IN_USE = "urn:problem-type:idempotency-key-in-use"
# How often a change is asked for again, under its key, when its answer was lost.
REPEATS = 2
PAUSE_SECONDS = 0.5
NOT_SENT = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    *(httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL),
)
PAGE = 100
# Where a field of a request comes from, if the option is not called like it.
OPTIONS: Mapping[object, str] = {
    **{name: f"--{name}" for name in ("type", "group", "failure", "reason", "limit", "since", "until", "everything")},
    **{"per_second": "--rate", "actor": "--by", "keep_held": "--keep-held", "subject": "the group", "all": "--all"},
    "event_id": "the event's id",
}

Answer = dict[str, Any]


class ApiClient:
    """A client of one service; every call may raise CommandFailed."""

    def __init__(
        self,
        url: str,
        bearer: Bearer | None,
        *,
        url_option: str,
        name: str = "",
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._url = url.rstrip("/")
        self._bearer = bearer
        self._url_option = url_option
        self._say = say
        self.name = name
        headers = {"Authorization": f"Bearer {bearer.token}"} if bearer else {}
        try:
            # A proxy of the environment's is for the world outside, not for this machine.
            self._http = outbound_http.client(http_url(self._url), headers=headers, timeout=READ_SECONDS)
        except UnicodeEncodeError as error:
            raise CommandFailed(f"the token cannot be used: {error}") from None
        except ValueError as error:
            raise CommandFailed(f"the address {self._url!r} {error}. {url_option}") from None
        except ConfigurationError as error:
            raise CommandFailed(str(error)) from None

    @property
    def whom(self) -> str:
        """Who is asked: its name and its address."""
        return f"{self.name} ({self._url})" if self.name else self._url

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Answer:
        """What is at `path`; parameters that are None are left out. Raises NotFound when nothing is."""
        given = {
            name: [*map(str, value)] if isinstance(value, list) else str(value)
            for name, value in (params or {}).items()
            if value is not None
        }
        return self._read(self._send("GET", path, params=given))

    def readiness(self) -> Answer:
        """What its readiness page says; nothing, if it says nothing for a while."""
        try:
            found = _json(self._http.get("/readyz", timeout=NOTICE_AFTER_SECONDS))
        except httpx.HTTPError:
            return {"checks": {"readiness": {"ok": False, "detail": "its /readyz does not answer"}}}
        return found if isinstance(found, dict) else {}

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Have something changed, once, though an answer be lost; fields that are None are left out."""
        given = {name: value for name, value in body.items() if value is not None}
        return self._read(self._change(path, json=given, headers={KEY: str(uuid4())}))

    def list(self, path: str, params: Mapping[str, object], *, limit: int) -> Answer:
        """The first `limit` items of a list, page by page."""
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
        """Ask, and ask again under the same key as long as nobody knows whether it was done."""
        lost: ResponseLost | None = None
        began = time.monotonic()
        for repeat in range(1 + REPEATS):
            if lost is not None:
                if time.monotonic() - began > NOTICE_AFTER_SECONDS:
                    self._say(f"{lost}; asking again under the same key: nothing is done twice ({repeat} of {REPEATS})")
                time.sleep(PAUSE_SECONDS)
            try:
                with self._patience():
                    response = self._send("POST", path, **request)
            except ResponseLost as failure:
                lost = failure
            except CommandFailed:
                # Nothing was done yet, or the service that lost the answer is starting anew.
                if lost is None:
                    raise
            else:
                if lost is None or not _is_in_use(response):
                    return response
        raise CommandFailed(f"{lost}. It may have been done: look before you ask again")

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Tell a person who waits what for."""
        text = f"waiting for the answer of {self.whom}, up to {CHANGE_SECONDS:.0f} s"
        timer = threading.Timer(NOTICE_AFTER_SECONDS, self._say, [text])
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
            raise CommandFailed("what was given is no UTF-8, so it cannot be sent") from None
        except NOT_SENT as error:
            raise CommandFailed(
                f"cannot reach {self._url} ({error or type(error).__name__}). Is the service running, and is that its "
                f"address? {self._url_option}"
            ) from None
        except httpx.TimeoutException:
            raise ResponseLost(f"no answer from {self.whom} within {seconds:.0f} s; see its /readyz") from None
        except httpx.TransportError as error:
            raise ResponseLost(f"the connection to {self.whom} broke ({error or type(error).__name__})") from None

    def _read(self, response: httpx.Response) -> Answer:
        body = _json(response)
        if response.is_success and isinstance(body, dict):
            return body
        raise self._failure(response, body if isinstance(body, dict) else None)

    def _failure(self, response: httpx.Response, problem: Answer | None) -> CommandFailed:
        status = response.status_code
        if status == 404 and problem is not None and problem.get("type") == "about:blank" and _is_ours(problem):
            return WrongService(f"{self.whom} has nothing at {response.request.url.path}. {self._url_option}")
        if problem is None or problem.get("type", "about:blank") == "about:blank" or not _is_ours(problem):
            return CommandFailed(
                f"{response.request.url.copy_with(query=None)} answered {status}, as no service of this project would. "
                f"Is {self._url} the right address? {self._url_option}"
            )
        detail = str(problem.get("detail") or problem.get("title"))
        match status:
            case 401 if self._bearer is None:
                return CommandFailed(f"{self._url} asks for an operator's token: give --token or set EVENT_TRIO_TOKEN")
            case 401:
                return CommandFailed(f"{self._url} does not accept {_whose(self._bearer)}: {detail}")
            case 403:
                return CommandFailed(f"{_whose(self._bearer)} may not do this: {detail}")
            case 404:
                return NotFound(detail)
            case 422:
                return CommandFailed("; ".join([problem["title"], *map(_field, problem.get("errors", []))]))
            case _ if status >= 500:
                return CommandFailed(f"{detail} (correlation id {problem['correlation_id']})")
            case _:
                later = response.headers.get("Retry-After")
                return CommandFailed(f"{detail}. Try again in {later} s" if later else detail)


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def _whose(bearer: Bearer | None) -> str:
    return bearer.describe() if bearer else "a caller without a token"


def _field(error: Mapping[str, Any]) -> str:
    """What is wrong with a request, by the option that it came from rather than by the field of the body."""
    detail = str(error.get("detail")).removeprefix("Value error, ")
    field = error.get("field")
    return f"{OPTIONS.get(field, field)}: {detail}" if field else detail


def _is_in_use(response: httpx.Response) -> bool:
    """Whether the service is still busy with the request that was repeated."""
    problem = _json(response) if response.status_code == 409 else None
    return isinstance(problem, dict) and problem.get("type") == IN_USE


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _is_ours(problem: Answer) -> bool:
    """Whether a problem was told by a service of this project."""
    return "correlation_id" in problem
