"""Reads forms, and rejects those that the console did not send."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from starlette.requests import Request

from .errors import PageError, invalid
from .sessions import ConsoleSession

CSRF_FIELD = "csrf_token"
KEY_FIELD = "idempotency_key"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200
KEY = re.compile(r"[A-Za-z0-9-]{16,64}")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form. Surrounding whitespace is removed."""

    fields: Mapping[str, str]

    def text(self, name: str, *, most: int = 2048) -> str:
        """A field; empty if it is missing. Raises PageError if it is longer than any page sends."""
        found = self.fields.get(name, "").strip()
        if len(found) > most or "\x00" in found:
            raise invalid()
        return found

    def optional(self, name: str, *, most: int = 2048) -> str | None:
        """A field; None if it is missing or empty."""
        return self.text(name, most=most) or None

    @property
    def key(self) -> str:
        """The Idempotency-Key with which the confirmation was rendered. Raises PageError if there is none."""
        found = self.text(KEY_FIELD)
        if not KEY.fullmatch(found):
            raise invalid()
        return found


def new_key() -> str:
    """An Idempotency-Key for one confirmation: confirming it twice changes once."""
    return str(uuid4())


async def read_form(request: Request) -> Form:
    """The form of a request from a page of the console. Raises PageError."""
    ensure_same_origin(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise invalid()
    try:
        text = (await request.body()).decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise invalid() from None
    return Form(dict(pairs))


def ensure_csrf_token(form: Form, session: ConsoleSession) -> None:
    """Raise PageError unless the form has the token of the session."""
    if not secrets.compare_digest(form.text(CSRF_FIELD).encode(), session.csrf_token.encode()):
        raise PageError("forged", 403)


def ensure_same_origin(request: Request) -> None:
    """Raise PageError if another site sent the request: browsers say where a form comes from."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise PageError("forged", 403)
    if origin is not None and _host(origin) != request.headers.get("host"):
        raise PageError("forged", 403)
    if origin is None and site is None:
        # Every browser sends one of them with a form; other programs use the APIs of the services.
        raise PageError("forged", 403)


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
