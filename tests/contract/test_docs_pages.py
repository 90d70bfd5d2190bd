"""The pages that show an OpenAPI document work offline."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tools.reference.openapi import applications

# What a page loads: scripts, styles, pictures and fonts, in markup and in styles.
LOADED = re.compile(r"""(?:src|href)=["']([^"']+)["']|url\(["']?([^"')]+)""")


@pytest.fixture(params=["order", "notification", "relay"])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    app = applications()[request.param]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_documentation_pages_load_only_local_files(api: httpx.AsyncClient, path: str) -> None:
    page = await api.get(path)
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    loaded = [first or second for first, second in LOADED.findall(page.text)]
    assert any(address.endswith(".js") for address in loaded)
    for address in loaded:
        assert address.startswith("/"), address
        assert not address.startswith("//"), address
        answer = await api.get(address)
        assert answer.status_code == 200, address
        if address.endswith(".css"):
            assert not [url for _, url in LOADED.findall(answer.text) if url.startswith(("http", "//"))]
    assert '"/openapi.json"' in page.text or "'/openapi.json'" in page.text


async def test_no_other_files_of_the_package_are_served(api: httpx.AsyncClient) -> None:
    for path in ("/docs/static/../core.py", "/docs/static/%2e%2e/core.py", "/docs/static/"):
        assert (await api.get(path)).status_code == 404
