"""HTTP clients use the proxy and certificates that their addresses need, and nothing else."""

from pathlib import Path

import httpx
import pytest

from event_trio.errors import ConfigurationError
from event_trio.http_client.client import async_client, client, network_route

PROXY = "http://proxy.example:3128"
BAD_PROXIES = [
    *("socks5://127.0.0.1:9", "ftp://proxy:1", "http://proxy:high", "://", "http://[::1", "http://", "http://:3128"),
    *("http://proxy:99999", "http://proxy:65536", "http://proxy:0", "proxy:99999", "http://pro xy:1", "http://%zz:1"),
]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", [PROXY, *BAD_PROXIES])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]", "orders.localhost", "0.0.0.0"])
def test_no_proxy_is_used_for_this_machine(name: str, proxy: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, proxy)
    assert network_route(f"http://{host}:8000").proxy is None


@pytest.mark.parametrize(
    ("variables", "url", "through"),
    [
        ({"HTTPS_PROXY": PROXY}, "https://keys.example/jwks", PROXY),
        ({"https_proxy": "proxy.example:3128"}, "https://keys.example/jwks", PROXY),
        ({"https_proxy": "http://[::1]:65535"}, "https://keys.example/jwks", "http://[::1]:65535"),
        ({"https_proxy": "https://proxy.example"}, "https://keys.example/jwks", "https://proxy.example"),
        ({"https_proxy": "http://프록시.example:1"}, "https://keys.example/jwks", "http://xn--3o2b05qmuo.example:1"),
        ({"ALL_PROXY": PROXY}, "http://orders.example", PROXY),
        ({"HTTPS_PROXY": "socks5://x:1"}, "http://orders.example", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "orders.example"}, "http://orders.example:80", None),
        ({"HTTP_PROXY": "socks5://x:1", "NO_PROXY": "*"}, "http://orders.example", None),
        ({"HTTP_PROXY": "", "ALL_PROXY": PROXY}, "http://orders.example", PROXY),
        ({"HTTP_PROXY": ""}, "http://orders.example", None),
    ],
)
def test_a_proxy_is_used_for_other_addresses(
    variables: dict[str, str], url: str, through: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = network_route(url).proxy
    assert (str(found.url) if found else None) == through


@pytest.mark.parametrize("proxy", BAD_PROXIES)
def test_an_unusable_proxy_is_reported(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match=r"HTTPS_PROXY is not a usable proxy .* keys\.example to NO_PROXY"):
        network_route("https://keys.example/jwks")


@pytest.mark.parametrize(("name", "is_file"), [("SSL_CERT_FILE", True), ("SSL_CERT_FILE", False)])
def test_certificates_are_read_for_tls_only(
    name: str, is_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_file:
        (tmp_path / "bundle").write_text("no certificates")
    monkeypatch.setenv(name, str(tmp_path / "bundle"))
    assert network_route("http://orders.example").proxy is None
    client("http://127.0.0.1:8000", headers={}, timeout=1).close()
    with pytest.raises(ConfigurationError, match="correct or unset SSL_CERT_FILE"):
        network_route("https://orders.example")


async def test_a_client_uses_a_proxy_per_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    urls = ["http://127.0.0.1:2", "http://orders.example:8000"]
    async with async_client(urls, timeout=2.0) as found:
        ways = [type(found._transport_for_url(httpx.URL(f"{url}/x"))._pool).__name__ for url in urls]  # type: ignore[attr-defined]
    assert ways == ["AsyncConnectionPool", "AsyncHTTPProxy"]
