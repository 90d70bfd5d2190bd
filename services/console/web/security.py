"""Headers that restrict what a browser does with a page, and the hosts under which the console is served."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trio.urls import is_loopback

# Scripts and styles come from the console's own files only: nothing that a page shows can run.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer`, browsers would send forms with the origin `null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
STRICT_TRANSPORT = "max-age=31536000"
# Asked by the platform, under whatever address it has for the container.
ANY_HOST = frozenset({"/livez", "/readyz", "/metrics"})


class SecurityMiddleware:
    """Adds the headers, and rejects requests for other hosts.

    Without authentication a page of another site could otherwise name the console's address in its own DNS zone, and
    read it as its own (DNS rebinding). `public_host` is the host of PUBLIC_URL.
    """

    def __init__(self, app: ASGIApp, *, public_url: str | None, authenticates: bool, secure: bool) -> None:
        self._app = app
        self._public_host = urlsplit(public_url).netloc.lower() if public_url else None
        self._authenticates = authenticates
        self._headers = {**HEADERS, **({"Strict-Transport-Security": STRICT_TRANSPORT} if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["path"] not in ANY_HOST and not self._is_own(Headers(scope=scope).get("host", "").lower()):
            answer = PlainTextResponse("This host is not served: set PUBLIC_URL to the console's URL.", 421)
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _is_own(self, host: str) -> bool:
        if self._public_host is not None:
            return host == self._public_host
        return self._authenticates or is_loopback(_name(host))


def _name(host: str) -> str:
    """The name in a Host header; empty if it is none (RFC 9110, section 7.2, allows no user)."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.netloc == host and "@" not in host else ""
