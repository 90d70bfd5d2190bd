"""Sends a signed request over the pool, or over the stock client's HTTP session if there is a proxy.

Failures are raised as the exceptions of botocore that the stock client raises for them.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .connection import Disconnected, MalformedAnswer, RawAnswer, ReadTimeout
from .operation import DEFAULT_PORTS, Operation
from .pool import CannotConnect, Destination, Pool, PoolOptions
from .request_bodies import Unsupported

# Options of aiohttp's connector that the pool honours or does not need.
KNOWN_CONNECTOR_OPTIONS = frozenset({"keepalive_timeout", "ttl_dns_cache", "use_dns_cache"})
KEEPALIVE_SECONDS = 12.0


class Transport:
    """Sends the requests of one client, with its timeouts, certificates and largest number of connections.

    Raises Unsupported for a client whose HTTP session is not aiobotocore's default.
    """

    def __init__(self, client: Any) -> None:
        from aiobotocore.httpsession import AIOHTTPSession

        self._session: Any = client._endpoint.http_session
        if type(self._session) is not AIOHTTPSession:
            raise Unsupported
        self._pools: dict[tuple[str, str | None, int | None], Pool | None] = {}

    async def send(self, operation: Operation, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """Send a request and return the answer, whatever its status.

        Raises EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError, ConnectionClosedError, SSLError,
        ProxyConnectionError or HTTPClientError of botocore.
        """
        pool = await self._pool(operation.url)
        if pool is None:
            return await self._send_by_session(operation, headers, body)
        try:
            return await pool.exchange(_request(operation, headers, body))
        except (CannotConnect, Disconnected, MalformedAnswer, ReadTimeout, OSError) as error:
            raise _failure(operation.url, error) from error

    def close(self) -> None:
        """Close all connections that are not in use."""
        for pool in self._pools.values():
            if pool is not None:
                pool.close()

    async def _pool(self, url: str) -> Pool | None:
        """The pool for a URL. None if the stock client's session must send, because of a proxy or connector options."""
        parts = urlsplit(url)
        server = (parts.scheme, parts.hostname, parts.port)
        if server not in self._pools:
            options: dict[str, Any] = self._session._connector_args
            direct = not self._session._proxy_config.proxy_url_for(url) and options.keys() <= KNOWN_CONNECTOR_OPTIONS
            self._pools[server] = await self._open(url) if direct else None
        return self._pools[server]

    async def _open(self, url: str) -> Pool:
        parts = urlsplit(url)
        timeout = self._session._timeout
        tls = await self._tls() if parts.scheme == "https" else None
        return Pool(
            Destination(parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme], tls),
            PoolOptions(
                connections=self._session._max_pool_connections,
                connect_seconds=timeout.sock_connect,
                read_seconds=timeout.sock_read,
                keepalive_seconds=self._session._connector_args.get("keepalive_timeout", KEEPALIVE_SECONDS),
            ),
        )

    async def _tls(self) -> ssl.SSLContext:
        """The TLS context of the stock client: its CA bundle, client certificate and verification."""
        context = (await self._session._get_session(None)).connector._ssl
        if isinstance(context, ssl.SSLContext):
            return context
        unverified = ssl.create_default_context()
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        return unverified

    async def _send_by_session(self, operation: Operation, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        from botocore.awsrequest import AWSPreparedRequest

        with_length: Any = {**headers, "Content-Length": str(len(body))}
        prepared = AWSPreparedRequest("POST", operation.url, with_length, body, False)
        response = await self._session.send(prepared)
        return RawAnswer(response.status_code, dict(response.headers.items()), await response.content)


def _request(operation: Operation, headers: Mapping[str, str], body: bytes) -> bytes:
    # The last two headers are those that aiobotocore and aiohttp add after signing.
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST {operation.target} HTTP/1.1\r\nHost: {operation.host}\r\n{lines}Content-Length: {len(body)}\r\n"
        "Accept-Encoding: identity\r\nAccept: */*\r\n\r\n"
    ).encode() + body


def _failure(url: str, error: Exception) -> Exception:
    from botocore.exceptions import (
        ConnectionClosedError,
        ConnectTimeoutError,
        EndpointConnectionError,
        HTTPClientError,
        ReadTimeoutError,
        SSLError,
    )

    if isinstance(error, CannotConnect):
        if isinstance(error.reason, ssl.SSLError):
            return SSLError(endpoint_url=url, error=error.reason)
        if isinstance(error.reason, TimeoutError):
            return ConnectTimeoutError(endpoint_url=url, error=error.reason)
        return EndpointConnectionError(endpoint_url=url, error=error.reason)
    if isinstance(error, ReadTimeout):
        return ReadTimeoutError(endpoint_url=url, error=error)
    if isinstance(error, Disconnected):
        return ConnectionClosedError(endpoint_url=url, error=error)
    if isinstance(error, MalformedAnswer):
        return HTTPClientError(error=error)
    return EndpointConnectionError(endpoint_url=url, error=error)
