"""Limits the size of request bodies."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import TOO_LARGE, HttpProblem, render

DEFAULT_BYTES = 64 * 1024


class BodyLimitMiddleware:
    """Rejects a body above the limit before it is in memory; the framework's own limit responds in plain text."""

    def __init__(self, app: ASGIApp, limit: int = DEFAULT_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            await render(HttpProblem(TOO_LARGE, f"The limit is {self._limit} bytes."))(scope, receive, send)
            return
        read = 0

        async def receive_limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                # Only the framework's own exception passes while it reads a body.
                raise HTTPException(413, f"The limit is {self._limit} bytes.")
            return message

        await self._app(scope, receive_limited, send)
