"""The console on scripted services, called over ASGI as a browser would."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import APIRouter

from services.console.main import build
from services.console.settings import ConsoleSettings

ORIGIN = "https://console.test"
SERVICES = "order=http://order.test,order-relay=http://order-relay.test,notification=http://notification.test"
CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
FORM = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}

Answer = Mapping[str, Any] | httpx.Response | Exception | Callable[[httpx.Request], Any]


@dataclass
class ScriptedSystem:
    """Services that give these answers, by `process/path`; every other path is not found."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        found = self.answers.get(f"{request.url.host.removesuffix('.test')}{request.url.path}")
        if callable(found):
            found = found(request)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(404, json={"title": "Not found"}) if found is None else httpx.Response(200, json=found)

    @property
    def calls(self) -> list[str]:
        """Method, process and path of every call."""
        return [f"{each.method} {each.url.host.removesuffix('.test')}{each.url.path}" for each in self.requests]


@asynccontextmanager
async def console(
    system: ScriptedSystem, *routers: APIRouter, origin: str = ORIGIN, **given: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without scripts, which does not follow redirects by itself; `routers` are added to the pages."""
    settings = ConsoleSettings(
        **{"event_trio_services": SERVICES, "public_url": ORIGIN, "starting_seconds": 0, **given}
    )
    app = build(settings, http=httpx.AsyncClient(transport=httpx.MockTransport(system)))
    for router in routers:
        app.include_router(router)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=origin) as browser,
    ):
        yield browser


async def sign_in(browser: httpx.AsyncClient, token: str) -> httpx.Response:
    """Send the form for signing in."""
    return await browser.post("/sign-in", data={"token": token, "next": "/"}, headers=FORM)


async def csrf_token(browser: httpx.AsyncClient, page: str = "/") -> str:
    """The token in the forms of a page."""
    found = CSRF.search((await browser.get(page)).text)
    assert found is not None
    return found[1]
