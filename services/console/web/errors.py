"""Why a page is not shown, or a change not made."""

from __future__ import annotations

from event_trio.errors import EventTrioError


class PageError(EventTrioError):
    """An error page: its status and the keys of its texts, `error.<name>.title` and `error.<name>.text`."""

    def __init__(self, name: str, status: int, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.status = status
        self.headers = headers or {}


class SignInRequired(EventTrioError):
    """Nobody signed in, or the session or the token has ended."""


def not_found() -> PageError:
    """There is no such page or thing."""
    return PageError("not_found", 404)


def invalid() -> PageError:
    """The address or the form has a value that no page of the console sends."""
    return PageError("invalid", 400)
