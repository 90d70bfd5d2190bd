"""Every page of the console, opened by nobody, with a forged session, and with the token of every role."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from services.console.main import build
from services.console.settings import ConsoleSettings
from tests.support.access import authenticated
from tests.support.console import FORM, ORIGIN, SERVICES, ScriptedSystem, csrf_token, sign_in
from tests.support.console_answers import system as answers
from tests.support.tokens import Issuer
from tests.support.web import client

EVERYBODY, READERS, OPERATORS = "everybody", "readers", "operators"
EVENT = "00000000-0000-7000-8000-000000000001"
MATRIX = {
    "GET /livez": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,
    "GET /sign-in": EVERYBODY,
    "POST /sign-in": EVERYBODY,
    "GET /preferences": EVERYBODY,
    "GET /": READERS,
    "GET /find": READERS,
    "GET /journey/{subject:path}": READERS,
    "GET /relays": READERS,
    "GET /catalog": READERS,
    "GET /catalog/{type}/{version}": READERS,
    "GET /dead-letters": READERS,
    "GET /dead-letters/{service}/messages": READERS,
    "GET /dead-letters/{service}/message": READERS,
    "GET /dead-letters/{service}/message/reveal": OPERATORS,
    "POST /dead-letters/{service}/message": OPERATORS,
    "GET /dead-letters/{service}/redrive": OPERATORS,
    "POST /dead-letters/{service}/redrive": OPERATORS,
    "GET /dead-letters/{service}/redrives/{id}": READERS,
    "GET /dead-letters/{service}/redrives/{id}/stream": READERS,
    "GET /dead-letters/{service}/redrives/{id}/stop": OPERATORS,
    "POST /dead-letters/{service}/redrives/{id}/stop": OPERATORS,
    "GET /dead-letters/{service}/changes/{verb}": OPERATORS,
    "POST /dead-letters/{service}/changes/{verb}": OPERATORS,
    "GET /events/{service}/{event_id}": OPERATORS,
    "GET /events/{service}/{event_id}/reveal": OPERATORS,
    "POST /events/{service}/{event_id}/reveal": OPERATORS,
    "GET /outbox": READERS,
    "GET /outbox/{relay}": READERS,
    "GET /outbox/{relay}/group": READERS,
    "GET /outbox/{relay}/sending/{verb}": OPERATORS,
    "POST /outbox/{relay}/sending/{verb}": OPERATORS,
    "GET /outbox/{relay}/group/{verb}": OPERATORS,
    "POST /outbox/{relay}/group/{verb}": OPERATORS,
    "GET /outbox/{relay}/discard": OPERATORS,
    "POST /outbox/{relay}/discard": OPERATORS,
    "GET /outbox/{relay}/replay": OPERATORS,
    "GET /outbox/{relay}/replay/preview": OPERATORS,
    "POST /outbox/{relay}/replay": OPERATORS,
    "GET /outbox/{relay}/replays/{id}": READERS,
    "GET /outbox/{relay}/replays/{id}/stream": READERS,
    "GET /outbox/{relay}/replays/{id}/cancel": OPERATORS,
    "POST /outbox/{relay}/replays/{id}/cancel": OPERATORS,
    "GET /tail": READERS,
    "GET /tail/stream": READERS,
    "POST /sign-out": READERS,
}
"""Who may open each page. The last one ends the session."""
VALUES = {
    "service": "order",
    "relay": "order-relay",
    "event_id": EVENT,
    "id": "1",
    "type": "order.placed",
    "version": "1",
}
VERBS = {"sending": "pause", "group": "hold", "changes": "discard"}
SIGNS_IN = {"customer": False, "service": False, "reader": True, "operator": True}


@dataclass(frozen=True)
class Console:
    app: FastAPI
    browser: httpx.AsyncClient
    system: ScriptedSystem
    issuer: Issuer


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    issuer, auth = authenticated(tmp_path)
    system = answers()
    settings = ConsoleSettings(event_trio_services=SERVICES, public_url=ORIGIN, **auth)
    app = build(settings, http=httpx.AsyncClient(transport=httpx.MockTransport(system)))
    async with client(app) as browser:
        browser.base_url = ORIGIN
        yield Console(app, browser, system, issuer)


def routes(app: FastAPI) -> set[str]:
    """Method and path of every route; what is mounted are files for everybody."""
    return {
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in set(context.methods or ()) - {"HEAD"}
    }


async def opened(console: Console, route: str, csrf: str) -> httpx.Response | None:
    """The answer to a complete request; None if it is an endless stream."""
    method, path = route.split()
    parts = path.split("/")
    verb = VERBS.get(parts[-2], "") if len(parts) > 2 else ""
    address = path.replace("{subject:path}", "a").replace("{verb}", verb)
    for name, value in VALUES.items():
        address = address.replace(f"{{{name}}}", value)
    query = {"subject": "a", "id": EVENT, "event_id": EVENT}
    form = {"csrf_token": csrf, "idempotency_key": EVENT, "reason": "because", "all": "true"}
    try:
        async with asyncio.timeout(0.5 if path.endswith("/stream") else 30):
            if method == "GET":
                return await console.browser.get(address, params=query)
            return await console.browser.post(address, params=query, data=form, headers=FORM)
    except TimeoutError:
        return None


def called(system: ScriptedSystem) -> list[str]:
    """The calls of services, without those that the console makes by itself."""
    return [call for call in system.calls if not call.endswith("/metrics")]


def is_refused(route: str, answer: httpx.Response | None) -> bool:
    """Whether the answer leads to signing in, or forbids."""
    if answer is None:
        return False
    if route.startswith("GET"):
        to_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
        return to_sign_in or answer.status_code == 403
    return answer.status_code == 403


def test_the_matrix_has_every_route(console: Console) -> None:
    assert routes(console.app) == MATRIX.keys()


@pytest.mark.parametrize("cookie", [None, "forged"])
async def test_nobody_sees_more_than_is_open(console: Console, cookie: str | None) -> None:
    if cookie:
        console.browser.cookies.set("__Host-console_session", cookie)
    for route, who in MATRIX.items():
        answer = await opened(console, route, "forged")
        assert is_refused(route, answer) is (who != EVERYBODY), route
    assert called(console.system) == []


@pytest.mark.parametrize("role", SIGNS_IN)
async def test_every_page_for_every_role(console: Console, role: str) -> None:
    signed_in = await sign_in(console.browser, console.issuer.token("somebody", role))
    assert (signed_in.status_code == 303) is SIGNS_IN[role]
    csrf = await csrf_token(console.browser) if SIGNS_IN[role] else "forged"
    admitted = {"reader": {EVERYBODY, READERS}, "operator": {EVERYBODY, READERS, OPERATORS}}.get(role, {EVERYBODY})
    for route, who in MATRIX.items():
        console.system.requests.clear()
        answer = await opened(console, route, csrf)
        assert is_refused(route, answer) is (who not in admitted), (route, answer and answer.text)
        assert who in admitted or called(console.system) == [], route
