"""What all pages share, as `main` builds it, and the person behind a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import unquote

import jinja2
from starlette.requests import Request

from event_trio.http.authorization import Authenticator
from event_trio.http.rate_limit import RateLimit, TooManyRequests
from event_trio.http.tokens import KeysUnavailable, Principal, Role, TokenRejected

from ..api_clients.processes import Processes
from ..api_clients.system import Reads, SystemClient
from ..api_clients.transport import ApiTransport
from .assets import Assets
from .errors import PageError, SignInRequired
from .languages import Languages, Texts
from .sections import NavigationEntry
from .sessions import ConsoleSession, SessionStore
from .streams import Streams
from .times import zone

LANGUAGE_COOKIE, THEME_COOKIE, ZONE_COOKIE = "language", "theme", "zone"
THEMES = ("light", "dark")
ROLES = (Role.OPERATOR, Role.READER)
"""The roles that may open the console."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a person wants to read: from cookies, which hold nothing else."""

    texts: Texts
    theme: str | None
    zone_name: str
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts that every page uses."""

    environment: jinja2.Environment
    components: object
    """The macros of `components.html`."""
    languages: Languages
    assets: Assets
    sessions: SessionStore
    streams: Streams
    sections: tuple[NavigationEntry, ...]
    processes: Processes
    reads: Reads
    transport: ApiTransport
    authenticator: Authenticator
    sign_ins: RateLimit
    is_local: bool
    """Whether nobody signs in, because the services accept every caller."""
    session_cookie: str
    cookies_are_secure: bool
    refresh_seconds: float
    trace_url: str | None

    def preferences(self, request: Request) -> Preferences:
        """The preferences of the cookies; otherwise those of the browser."""
        cookies: Mapping[str, str] = request.cookies
        theme = cookies.get(THEME_COOKIE)
        name, found = zone(unquote(cookies.get(ZONE_COOKIE, "")))
        return Preferences(
            texts=self.languages.choose(cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")),
            theme=theme if theme in THEMES else None,
            zone_name=name,
            zone=found,
        )

    async def principal(self, session: ConsoleSession) -> Principal:
        """The person of a session. The token is verified at every request, so that its end is the session's.

        Raises SignInRequired, or PageError if the person has no role here, is too fast, or cannot be verified now.
        """
        try:
            principal = await self.authenticator.authenticate(session.token)
        except TokenRejected:
            raise SignInRequired from None
        except TooManyRequests as error:
            raise PageError("too_many", 429, headers={"Retry-After": str(error.retry_after)}) from None
        except KeysUnavailable:
            raise PageError("keys_unavailable", 503, headers={"Retry-After": "5"}) from None
        if not principal.has(*ROLES):
            raise PageError("forbidden", 403)
        return principal

    def system(self, session: ConsoleSession) -> SystemClient:
        """The services and relays as the person of this session may use them."""
        return SystemClient(self.processes, self.reads, self.transport, session.token)
