"""Sessions of people who signed in, kept in the memory of the process; the browser has only a random name."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_SESSIONS = 10_000
MOST_NOTICES = 5


@dataclass(frozen=True, slots=True)
class PageNotice:
    """A sentence that the next page shows: its key in the language files, and its values."""

    kind: str
    key: str
    values: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class ConsoleSession:
    """A session. `token` is the bearer token that the person signed in with; None in local mode."""

    token: str | None
    csrf_token: str
    began_at: float
    used_at: float
    notices: list[PageNotice] = field(default_factory=list)

    def notify(self, kind: str, key: str, **values: object) -> None:
        """Show a sentence on the next page."""
        self.notices = [*self.notices, PageNotice(kind, key, values)][-MOST_NOTICES:]

    def take_notices(self) -> tuple[PageNotice, ...]:
        """The sentences to show, once."""
        taken, self.notices = tuple(self.notices), []
        return taken


class SessionStore:
    """Sessions by the hash of their name, so that the memory contains no name that a browser would send."""

    def __init__(
        self, *, longest_seconds: float, idle_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        # Nobody signs in in local mode, so that its sessions are of one person. Two tabs that are opened at the same
        # moment begin a session each, and the browser keeps the cookie of the later one: the forms of both have this.
        self._anonymous_csrf_token = secrets.token_urlsafe(32)
        self._longest = longest_seconds
        self._idle = idle_seconds
        self._monotonic = monotonic
        self._sessions: OrderedDict[str, ConsoleSession] = OrderedDict()

    def begin(self, token: str | None) -> tuple[str, ConsoleSession]:
        """A new session and its name. Every sign-in begins one, so that no earlier name stays valid."""
        name, now = secrets.token_urlsafe(32), self._monotonic()
        csrf_token = self._anonymous_csrf_token if token is None else secrets.token_urlsafe(32)
        session = ConsoleSession(token, csrf_token, now, now)
        self._sessions[_hashed(name)] = session
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return name, session

    def find(self, name: str | None) -> ConsoleSession | None:
        """The session of that name, unless it has ended."""
        if not name:
            return None
        key, now = _hashed(name), self._monotonic()
        session = self._sessions.get(key)
        if session is None:
            return None
        if now - session.began_at > self._longest or now - session.used_at > self._idle:
            del self._sessions[key]
            return None
        session.used_at = now
        self._sessions.move_to_end(key)
        return session

    def is_open(self, name: str | None) -> bool:
        """Whether the session of that name has not ended. Unlike `find`, it is no use of the session."""
        session = self._sessions.get(_hashed(name)) if name else None
        now = self._monotonic()
        return session is not None and now - session.began_at <= self._longest and now - session.used_at <= self._idle

    def end(self, name: str | None) -> None:
        """End a session; harmless if it has ended."""
        if name:
            self._sessions.pop(_hashed(name), None)


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
