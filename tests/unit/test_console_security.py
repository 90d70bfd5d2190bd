"""What a browser may do with the console's answers, and what an address contains, by OWASP ASVS level 1."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.console.web.sessions import SessionStore
from tests.support.access import authenticated
from tests.support.console import FORM, ScriptedSystem, console, csrf_token, sign_in

PAGES = ("/", "/dead-letters", "/outbox", "/tail", "/find", "/relays", "/catalog", "/sign-in", "/nothing")


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of an operator."""
    issuer, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as found:
        assert (await sign_in(found, issuer.token("olga", "operator"))).status_code == 303
        yield found


async def test_browsers_are_required_to_use_encrypted_connections(browser: httpx.AsyncClient) -> None:
    for path in (*PAGES, "/livez", "/static/css/console.css"):
        header = (await browser.get(path)).headers["strict-transport-security"]
        assert int(re.findall(r"max-age=(\d+)", header)[0]) >= 365 * 86_400


async def test_no_other_origin_may_read_an_answer(browser: httpx.AsyncClient) -> None:
    for path in PAGES:
        headers = (await browser.get(path, headers={"Origin": "https://evil.test"})).headers
        assert "access-control-allow-origin" not in headers
        assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_every_body_has_its_type_and_charset(browser: httpx.AsyncClient) -> None:
    for path in PAGES:
        assert (await browser.get(path)).headers["content-type"] == "text/html; charset=utf-8"
    assert "charset=utf-8" in (await browser.get("/static/js/streams.js")).headers["content-type"]
    stream = await browser.get("/dead-letters/order/redrives/4/stream")
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_the_address_of_a_change_changes_nothing_when_it_is_opened(tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    system = ScriptedSystem()
    async with console(system, **settings) as browser:
        await sign_in(browser, issuer.token("olga", "operator"))
        for path in (
            "/outbox/order-relay/sending/pause",
            "/outbox/order-relay/group/release?subject=a",
            "/outbox/order-relay/replay/preview?subject=a",
            "/outbox/order-relay/replays/1/cancel",
            "/dead-letters/order/redrive",
            "/dead-letters/order/changes/discard",
            "/dead-letters/order/redrives/1/stop",
        ):
            assert (await browser.get(path)).status_code in (200, 303), path
    posted = [request for request in system.requests if request.method == "POST"]
    # Previews are posts with a body that says so.
    assert len(posted) == 3
    assert all(b'"dry_run":true' in request.content for request in posted)


async def test_a_large_form_is_refused(browser: httpx.AsyncClient) -> None:
    page = {"csrf_token": await csrf_token(browser), "reason": "x" * 3_000_000}
    answer = await browser.post("/outbox/order-relay/sending/pause", data=page, headers=FORM)
    assert answer.status_code in (400, 413)


async def test_the_field_for_the_token_hides_it_and_allows_pasting(browser: httpx.AsyncClient) -> None:
    field = re.findall(r'<input id="token"[^>]*>', (await browser.get("/sign-in")).text)[0]
    assert 'type="password"' in field
    assert not re.search(r"onpaste|readonly|disabled", field)


def test_names_of_sessions_are_random_and_long() -> None:
    store = SessionStore(longest_seconds=60, idle_seconds=60)
    names = {store.begin(None)[0] for _ in range(1000)}
    assert len(names) == 1000
    # 43 characters of base64 are 256 bits.
    assert {len(name) for name in names} == {43}


async def test_no_address_contains_the_token(tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    token = issuer.token("olga", "operator")
    system = ScriptedSystem()
    async with console(system, **settings) as browser:
        answers = [await sign_in(browser, token)]
        answers += [await browser.get(path) for path in PAGES]
    assert not any(token in str(answer.url) + answer.text + str(answer.headers) for answer in answers)
    assert not any(token in str(request.url) for request in system.requests)


async def test_signing_out_clears_what_the_browser_kept(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/sign-out", data={"csrf_token": await csrf_token(browser)}, headers=FORM)
    assert "cache" in answer.headers["clear-site-data"]
    assert 'console_session=""' in answer.headers["set-cookie"]
