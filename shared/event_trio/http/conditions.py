"""Conditional requests: a change of what was seen and of nothing else, and no body that the caller already has.

The forms and comparisons are those of RFC 9110, section 13.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import Header
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import ProblemKind

PRECONDITION_FAILED = ProblemKind("precondition-failed", "It is no longer what the caller saw", 412)

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST = rf"^(?:\*|[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*)$"
_ONE = re.compile(r'(W/)?"([^"]*)"')

READ_UNDER = "/v1/"

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        pattern=_LIST,
        description="Change it only if its `ETag` is one of these; `*` is any.",
        examples=['"1"'],
    ),
]


def expected_versions(values: Sequence[str]) -> frozenset[int] | None:
    """The versions that If-Match's values accept; None when any will do. A weak tag matches none (13.1.1)."""
    if not values or any(value.strip() == "*" for value in values):
        return None
    strong = {tag for value in values for weak, tag in _ONE.findall(value) if not weak}
    return frozenset(int(tag) for tag in strong if re.fullmatch(r"[1-9][0-9]{0,9}", tag))


def has_current(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match names this tag, by the weak comparison (13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    return _opaque(etag) in {tag for _, tag in _ONE.findall(if_none_match)}


class ConditionMiddleware:
    """Gives what is read under /v1 an ETag, unless its route did, and answers 304 when the caller has it already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(READ_UNDER):
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
    """Complete the start of an answer that comes in one piece; returns its body, which is empty after a 304."""
    headers = MutableHeaders(scope=start)
    etag = headers.setdefault("ETag", f'"{hashlib.sha256(body["body"]).hexdigest()[:32]}"')
    # Personal: kept by the caller only, and asked about each time.
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
