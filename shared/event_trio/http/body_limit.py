"""The largest request body that a service reads."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import TOO_LARGE, HttpProblem, render

DEFAULT_BYTES = 64 * 1024


class BodyLimitMiddleware:
    """Refuses a body above the limit before it is in memory; the framework's own limit answers in plain text."""

    def __init__(self, app: ASGIApp, limit: int = DEFAULT_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limit:
            await render(HttpProblem(TOO_LARGE, f"at most {self._limit} bytes"))(scope, receive, send)
            return
        read = 0

        async def receive_limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limit:
                # The framework lets only its own exception pass while it reads a body.
                raise HTTPException(413, f"at most {self._limit} bytes")
            return message

        await self._app(scope, receive_limited, send)
