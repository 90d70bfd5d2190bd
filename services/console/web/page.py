"""A page being made for a person: what it may know, and its rendering."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from event_trio.http.tokens import Principal, Role
from event_trio.observability.request_context import current_context

from ..api_clients.replies import ApiReply
from ..api_clients.system import SystemClient
from .confirmation import ChangeConfirmation
from .errors import PageError, SignInRequired
from .forms import new_key
from .frame import Frame
from .sessions import ConsoleSession
from .times import Moment, duration, moment, parse

YEAR = 31_536_000
REFRESH_HEADER = "X-Refresh-Seconds"
"""With a refreshed part: when to refresh it next."""


class Page:
    """A page for one request. Nobody has signed in on a page without a principal."""

    def __init__(
        self,
        frame: Frame,
        request: Request,
        *,
        session: ConsoleSession | None = None,
        principal: Principal | None = None,
        new_session: str | None = None,
    ) -> None:
        self._frame = frame
        self._request = request
        self._session = session
        self._principal = principal
        self._new_session = new_session
        self.preferences = frame.preferences(request)
        self.t = self.preferences.texts
        self.is_local = frame.is_local
        self.sections = frame.sections if principal else ()
        self._system: SystemClient | None = None

    @property
    def person(self) -> str | None:
        """The name of the person in the token; None if nobody signed in."""
        return self._principal.subject if self._principal else None

    @property
    def is_operator(self) -> bool:
        """Whether the person may change something."""
        return self._principal is not None and self._principal.has(Role.OPERATOR)

    @property
    def session(self) -> ConsoleSession:
        """The session. Raises SignInRequired on a page for which nobody signed in."""
        if self._session is None:
            raise SignInRequired
        return self._session

    @property
    def csrf_token(self) -> str:
        """The token that the forms of this session contain."""
        return self._session.csrf_token if self._session else ""

    @property
    def system(self) -> SystemClient:
        """The services and relays, as this person may use them. Raises SignInRequired."""
        if self._system is None:
            self._system = self._frame.system(self.session)
        return self._system

    @property
    def refresh_seconds(self) -> float:
        """How long the page stays as it is. As many seconds as it made calls of one process, if that is longer.

        So a tab makes at most one call of a process and second, whatever it shows.
        """
        return max(self._frame.refresh_seconds, self._system.most_calls if self._system else 0)

    @property
    def address(self) -> str:
        """The path and query of this page."""
        url = self._request.url
        return url.path + (f"?{url.query}" if url.query else "")

    @property
    def origin_address(self) -> str | None:
        """The page of the console from which a form was sent; None for a request that sends none."""
        if self._request.method in ("GET", "HEAD"):
            return None
        parts = urlsplit(self._request.headers.get("referer", ""))
        if parts.netloc != self._request.headers.get("host"):
            return None
        return local_path(parts.path + (f"?{parts.query}" if parts.query else ""), "") or None

    @property
    def path(self) -> str:
        """The path of this page, without its query."""
        return self._request.url.path

    @property
    def correlation_id(self) -> str:
        """The id of this request in the logs of the console and of the services that it called."""
        return current_context().correlation_id

    def static(self, name: str) -> str:
        """The address of a static file."""
        return self._frame.assets.url(name)

    def moment(self, value: object, *, milliseconds: bool = False) -> Moment | None:
        """A time in the reader's zone."""
        return moment(value, self.preferences.zone, milliseconds=milliseconds)

    def local_time(self, value: object) -> str:
        """A time in the reader's zone, as a field for times takes it; empty if it is missing."""
        at = parse(value)
        return f"{at.astimezone(self.preferences.zone):%Y-%m-%dT%H:%M:%S}" if at else ""

    def duration(self, seconds: float | None) -> str:
        """A duration, such as "3.2 s"."""
        return duration(seconds)

    def difference(self, milliseconds: float) -> str:
        """A duration with its sign. One below zero means that the answer of a call came after what it caused."""
        return f"{'−' if milliseconds < 0 else '+'}{duration(abs(milliseconds) / 1000)}"

    def trace_address(self, trace_id: str | None) -> str | None:
        """The address of a trace, if there is a program that shows traces."""
        known = self._frame.trace_url
        return known.replace("{trace_id}", quote(trace_id, safe="")) if known and trace_id else None

    def new_key(self) -> str:
        """An Idempotency-Key for a form."""
        return new_key()

    def render(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """The page. A refresh of a part gets only the block with the name of the element that is refreshed."""
        found = self._frame.environment.get_template(template)
        given = {"page": self, "t": self.t, "ui": self._frame.components, **context}
        # A part leaves notices to the next whole page, which a person looks at.
        part = self._request.headers.get("hx-target", "") if "hx-request" in self._request.headers else ""
        if part in found.blocks:
            values = found.new_context({**given, "notices": ()})
            response = HTMLResponse("".join(found.blocks[part](values)), status)
            response.headers[REFRESH_HEADER] = f"{self.refresh_seconds:g}"
            return self._with_session(response)
        # Nobody sees the notices of a page that is asked for its headers only.
        is_seen = self._session is not None and self._request.method != "HEAD"
        text = found.render(given, notices=self.session.take_notices() if is_seen else ())
        return self._with_session(HTMLResponse(text, status))

    def part(self, template: str, block: str, **context: Any) -> str:
        """A block of a page, for a stream."""
        found = self._frame.environment.get_template(template)
        values = found.new_context({"page": self, "t": self.t, "ui": self._frame.components, "notices": (), **context})
        return "".join(found.blocks[block](values))

    def follow(self, parts: AsyncIterator[tuple[str, str]]) -> Response:
        """Parts of a page with their ids, sent as they are made, until they end or the session does."""
        name = self._new_session or self._request.cookies.get(self._frame.session_cookie)
        if self._request.method == "HEAD":
            return Response(media_type="text/event-stream")

        async def is_valid() -> bool:
            if not self._frame.sessions.is_open(name):
                return False
            try:
                await self._frame.principal(self.session)
            except (PageError, SignInRequired):
                return False
            return True

        return self._with_session(self._frame.streams.respond(name or "", parts, is_valid=is_valid))

    def confirm(self, confirmation: ChangeConfirmation) -> Response:
        """The page on which the person confirms a change."""
        return self.render("confirm.html", section=confirmation.section, confirmation=confirmation)

    def redirect(self, to: str) -> Response:
        """Another page of the console; a browser then asks for it with GET."""
        return self._with_session(RedirectResponse(to, 303))

    def after(self, reply: ApiReply, to: str, done: str, **values: object) -> Response:
        """The page after a change, with a notice: the text `done`, or why the change was not made."""
        failure = reply.failure
        if failure is None and reply.is_repeated:
            self.session.notify("info", "frame.change.repeated", process=reply.process.name)
        elif failure is None:
            self.session.notify("ok", done, **values)
        elif failure.is_reused_key:
            self.session.notify("warn", "frame.change.reused", process=reply.process.name)
        else:
            key = "frame.change.unknown" if failure.may_have_changed else f"frame.change.{failure.kind.value}"
            self.session.notify("bad", key, process=reply.process.name, detail=failure.detail)
        return self.redirect(to)

    def not_shown_again(self, to: str) -> Response:
        """The page after a form that asked for personal data and was sent again, as a reload does."""
        self.session.notify("info", "event.revealed_before")
        return self.redirect(to)

    def without_preview(self, reply: ApiReply, to: str) -> Response:
        """The page after a dry run that failed, with a notice. Nothing can have been changed."""
        failure = reply.failure
        detail = (failure.detail or self.t(f"frame.failure.{failure.kind.value}")) if failure else ""
        self.session.notify("bad", "frame.change.no_preview", process=reply.process.name, detail=detail)
        return self.redirect(to)

    def set_cookie(self, response: Response, name: str, value: str, *, seconds: int | None = YEAR) -> None:
        """Keep a value in the browser, which scripts cannot read; without `seconds` until it is closed."""
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=self._frame.cookies_are_secure,
            httponly=True,
            samesite="lax",
        )

    def _with_session(self, response: Response) -> Response:
        if self._new_session is not None:
            self.set_cookie(response, self._frame.session_cookie, self._new_session, seconds=None)
        return response


def local_path(given: str | None, otherwise: str = "/") -> str:
    """A path of the console to which a page leads back; never another site."""
    if not given or not given.startswith("/") or given.startswith("//") or "\\" in given or not given.isprintable():
        return otherwise
    return given


def query(path: str, values: Mapping[str, object]) -> str:
    """A path with the values that are not empty, encoded as its query."""
    given = {name: str(value) for name, value in values.items() if value is not None and str(value)}
    pairs = [f"{name}={quote(value, safe='')}" for name, value in given.items()]
    return path + ("?" + "&".join(pairs) if pairs else "")
