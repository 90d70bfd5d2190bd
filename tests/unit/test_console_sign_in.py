"""People sign in to the console with the tokens of the services, and their sessions end."""

import time
from pathlib import Path

import httpx
import pytest
import uvicorn

from services.console.web.sessions import SessionStore
from tests.support.access import authenticated
from tests.support.console import FORM, ORIGIN, ScriptedSystem, console, csrf_token, sign_in
from tests.support.tokens import Issuer
from tests.support.waiting import eventually

FORWARDED = "X-Forwarded-For"


async def test_a_page_needs_a_token_and_comes_back_to_itself(tmp_path: Path) -> None:
    _, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        answer = await browser.get("/?x=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2F%3Fx%3D1")


@pytest.mark.parametrize("role", ["operator", "reader"])
async def test_a_token_with_a_role_begins_a_session(tmp_path: Path, role: str) -> None:
    issuer, settings = authenticated(tmp_path)
    system = ScriptedSystem()
    token = issuer.token("olga", role)
    async with console(system, **settings) as browser:
        answer = await sign_in(browser, f"  Bearer {token} ")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-console_session=")
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        assert token not in cookie
        page = await browser.get("/")
        assert page.status_code == 200
        assert "olga" in page.text
        assert {request.headers["authorization"] for request in system.requests} == {f"Bearer {token}"}


@pytest.mark.parametrize(("roles", "status"), [(["customer"], 403), (["service"], 403), ([], 403)])
async def test_other_roles_begin_none(tmp_path: Path, roles: list[str], status: int) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        answer = await sign_in(browser, issuer.token("customer-1", *roles))
        assert (answer.status_code, "set-cookie" in answer.headers) == (status, False)


async def test_a_forged_token_begins_none(tmp_path: Path) -> None:
    _, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        for token in ("", "x", Issuer().token("olga", "operator")):
            answer = await sign_in(browser, token)
            assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


async def test_signing_in_is_limited(tmp_path: Path) -> None:
    _, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        statuses = [(await sign_in(browser, "x")).status_code for _ in range(30)]
        assert statuses[0] == 401
        assert statuses[-1] == 429


async def test_people_behind_a_trusted_proxy_are_limited_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, settings = authenticated(tmp_path)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.1.0.0/16")
    async with console(ScriptedSystem(), **settings) as browser:
        # As uvicorn serves it, with its defaults.
        served = uvicorn.Config(browser._transport.app, log_config=None)  # type: ignore[attr-defined]
        served.load()
        for proxy, others in (("10.1.2.3", 401), ("203.0.113.9", 429)):
            transport = httpx.ASGITransport(served.loaded_app, client=(proxy, 1))
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as behind:
                for _ in range(21):
                    answer = await behind.post(
                        "/sign-in", data={"token": "x"}, headers={**FORM, FORWARDED: "192.0.2.1"}
                    )
                assert answer.status_code == 429
                answer = await behind.post("/sign-in", data={"token": "x"}, headers={**FORM, FORWARDED: "192.0.2.2"})
                assert answer.status_code == others, proxy


async def test_the_session_ends_with_its_token(tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        # It ends in three seconds, long enough for a busy machine to sign in: clocks may differ by 30 seconds.
        token = issuer.token("olga", "operator", exp=time.time() - 27)
        assert (await sign_in(browser, token)).status_code == 303

        async def has_ended() -> bool:
            answer = await browser.get("/")
            assert answer.headers.get("location", "").startswith("/sign-in")
            return True

        await eventually(has_ended, timeout=30)
        assert (await browser.get("/", headers={"HX-Request": "true"})).headers["hx-redirect"] == "/sign-in"


async def test_signing_out_ends_the_session_for_everybody_who_has_its_cookie(tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        await sign_in(browser, issuer.token("olga", "reader"))
        stolen = dict(browser.cookies)
        form = {"csrf_token": await csrf_token(browser)}
        assert (await browser.post("/sign-out", data=form, headers=FORM)).status_code == 303
        browser.cookies.update(stolen)
        assert (await browser.get("/")).status_code == 303


async def test_the_cookie_of_a_session_changes_when_a_person_signs_in_again(tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        await sign_in(browser, issuer.token("olga", "reader"))
        first = dict(browser.cookies)
        await sign_in(browser, issuer.token("olga", "operator"))
        assert dict(browser.cookies) != first
        browser.cookies.clear()
        browser.cookies.update(first)
        assert (await browser.get("/")).status_code == 303


async def test_only_paths_of_the_console_are_returned_to(tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        for bad in ("https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)"):
            form = {"token": issuer.token("olga", "reader"), "next": bad}
            answer = await browser.post("/sign-in", data=form, headers=FORM)
            assert answer.headers["location"] == "/"
            answer = await browser.get("/preferences", params={"theme": "dark", "next": bad})
            assert answer.headers["location"] == "/"


async def test_local_mode_says_so() -> None:
    async with console(ScriptedSystem()) as browser:
        page = await browser.get("/")
        assert "Local mode" in page.text
        assert (await browser.get("/sign-in")).headers["location"] == "/"


def test_sessions_end_after_their_time_and_without_use() -> None:
    now = 0.0

    def monotonic() -> float:
        return now

    store = SessionStore(longest_seconds=100, idle_seconds=40, monotonic=monotonic)
    name, session = store.begin("token")
    for passed in (39.0, 78.0, 99.0):
        now = passed
        assert store.find(name) is session
    now = 101.0
    assert store.find(name) is None
    name, _ = store.begin("token")
    now = 142.0
    assert store.find(name) is None
    assert store.find("unknown") is None
    assert store.find(None) is None


async def test_a_stream_without_a_session_says_that_signing_in_is_needed(tmp_path: Path) -> None:
    _, settings = authenticated(tmp_path)
    async with console(ScriptedSystem(), **settings) as browser:
        answer = await browser.get("/tail/stream", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.text == "event: sign_in\ndata: \n\n"
