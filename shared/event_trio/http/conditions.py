"""Conditional requests (RFC 9110, section 13): `If-Match` for changes and `If-None-Match` for reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import Header
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import ProblemKind

PRECONDITION_FAILED = ProblemKind("precondition-failed", "The resource has changed since the caller read it", 412)

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = rf"^(?:\*|[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*)$"
_ONE = re.compile(r'(W/)?"([^"]*)"')

READ_PREFIX = "/v1/"

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        pattern=_LIST,
        description="Make the change only if the current `ETag` is one of these; `*` matches any.",
        examples=['"1"'],
    ),
]


def expected_versions(values: Sequence[str]) -> frozenset[int] | None:
    """The versions that the values of If-Match accept; None for any. A weak tag matches none (13.1.1)."""
    if not values or any(value.strip() == "*" for value in values):
        return None
    strong = {tag for value in values for weak, tag in _ONE.findall(value) if not weak}
    return frozenset(int(tag) for tag in strong if re.fullmatch(r"[1-9][0-9]{0,9}", tag))


def has_current(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match contains this tag, by weak comparison (13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    return _opaque(etag) in {tag for _, tag in _ONE.findall(if_none_match)}


class ConditionMiddleware:
    """Adds an ETag to reads below /v1, unless the route set one, and responds 304 to a caller that has it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(READ_PREFIX):
            await self._app(scope, receive, send)
            return
        asked = ", ".join(Headers(scope=scope).getlist("if-none-match"))
        start: Message | None = None

        async def send_if_new(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:
                start = message
                return
            if start is not None:
                begun, start = start, None
                if not message.get("more_body", False):
                    message = _conditional(begun, message, asked)
                await send(begun)
            await send(message)

        await self._app(scope, receive, send_if_new)


def _conditional(start: Message, body: Message, asked: str) -> Message:
    """Complete the start of a response with a single body message; returns the body, which is empty after a 304."""
    headers = MutableHeaders(scope=start)
    etag = headers.setdefault("ETag", f'"{hashlib.sha256(body["body"]).hexdigest()[:32]}"')
    # Personal data: only the caller may cache it, and revalidates it each time.
    headers.setdefault("Cache-Control", "private, no-cache")
    if not has_current(asked, etag):
        return body
    start["status"] = 304
    for name in ("Content-Type", "Content-Length"):
        if name in headers:
            del headers[name]
    return {**body, "body": b""}


def _opaque(etag: str) -> str | None:
    found = _ONE.fullmatch(etag)
    return found[2] if found else None
