"""HTTP clients for known addresses, each with the proxy and the certificates that it needs.

A client that reads the environment itself reads all of it: an invalid proxy for other addresses, or certificates that
are not needed, would stop it, and a proxy would be used for this machine.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import ConfigurationError
from ..urls import is_host, is_loopback, is_url


@dataclass(frozen=True, slots=True)
class NetworkRoute:
    """The proxy and certificates for an address."""

    proxy: httpx.Proxy | None
    verify: ssl.SSLContext


def async_client(urls: Sequence[str], *, timeout: float = 5.0) -> httpx.AsyncClient:
    """A client for these addresses; raises ConfigurationError when a proxy or certificates cannot be used."""
    routes = {_origin(url): network_route(url) for url in urls}
    mounts = {origin: httpx.AsyncHTTPTransport(proxy=to.proxy, verify=to.verify) for origin, to in routes.items()}
    return httpx.AsyncClient(trust_env=False, mounts=mounts, timeout=timeout)


def client(url: str, *, headers: dict[str, str], timeout: float) -> httpx.Client:
    """A synchronous client for one address; raises ConfigurationError when its proxy or certificates cannot be used."""
    to = network_route(url)
    transport = httpx.HTTPTransport(proxy=to.proxy, verify=to.verify)
    return httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False, transport=transport)


def network_route(url: str) -> NetworkRoute:
    """The proxy and certificates for an address. Raises ConfigurationError."""
    parts = urlsplit(url)
    proxy = None if is_loopback(parts.hostname or "") else _proxy(url)
    with_tls = parts.scheme == "https" or (proxy is not None and proxy.url.scheme == "https")
    return NetworkRoute(proxy, _certificates(url) if with_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _proxy(url: str) -> httpx.Proxy | None:
    known, parts = getproxies(), urlsplit(url)
    kind = parts.scheme if known.get(parts.scheme) else "all"
    address = known.get(kind)
    if not address or proxy_bypass(parts.netloc):
        return None
    try:
        found = httpx.Proxy(address if is_url(address) else f"http://{address}")
        if (
            not is_host(found.url.raw_host.decode("ascii"))
            or not 0 < (80 if found.url.port is None else found.url.port) <= 65535
        ):
            raise ValueError
        httpx.HTTPTransport(proxy=found, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).close()
    except (ValueError, ImportError, httpx.InvalidURL):
        raise ConfigurationError(
            f"{kind.upper()}_PROXY is not a usable proxy for {url}: it must be http://host:port or https://host:port; "
            f"if no proxy is needed, add {parts.hostname} to NO_PROXY"
        ) from None
    return found


def _certificates(url: str) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the certificates for {url} cannot be read ({error}): correct or unset SSL_CERT_FILE or SSL_CERT_DIR"
        ) from None
