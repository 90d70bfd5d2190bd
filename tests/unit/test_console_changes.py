"""A change by the console needs an operator, a form of the session, and is made once."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.responses import Response

from services.console.web.confirmation import ChangeConfirmation
from services.console.web.dependencies import ChangeDep, OperatorPage
from tests.support.access import authenticated
from tests.support.console import FORM, ORIGIN, ScriptedSystem, console, csrf_token, sign_in

PATH = "/v1/outbox/pause"
KEY = "0b54b2a2-7c3f-4c0e-8f0b-2f4c8c1b7f10"


def pausing() -> APIRouter:
    """A change as every page makes it."""
    router = APIRouter()

    @router.get("/pause")
    async def ask(page: OperatorPage) -> Response:
        return page.confirm(
            ChangeConfirmation("outbox", "Pause <it>?", "Pause", "/pause", "/", facts=(("Outbox", "order"),))
        )

    @router.post("/pause")
    async def pause(change: ChangeDep) -> Response:
        process = change.page.system.processes.relays[0]
        reply = await change.page.system.change(process, PATH, {"reason": change.reason}, key=change.form.key)
        return change.page.after(reply, to="/", done="state.finished")

    return router


@pytest.fixture
def system() -> ScriptedSystem:
    return ScriptedSystem({f"order-relay{PATH}": {"paused": True}})


def form(token: str, **changed: str) -> dict[str, Any]:
    """A complete form with changes."""
    return {"csrf_token": token, "idempotency_key": KEY, "reason": " it is\n broken ", **changed}


async def test_an_operator_confirms_and_the_service_gets_key_token_and_reason(
    system: ScriptedSystem, tmp_path: Path
) -> None:
    issuer, settings = authenticated(tmp_path)
    operator = issuer.token("olga", "operator")
    async with console(system, pausing(), **settings) as browser:
        await sign_in(browser, operator)
        page = (await browser.get("/pause")).text
        assert "Pause &lt;it&gt;?" in page
        assert "order" in page
        answer = await browser.post("/pause", data=form(await csrf_token(browser, "/pause")), headers=FORM)
        assert answer.status_code == 303
        (request,) = [each for each in system.requests if each.method == "POST"]
        assert request.headers["idempotency-key"] == KEY
        assert request.headers["authorization"] == f"Bearer {operator}"
        assert request.read() == b'{"reason":"it is broken"}'
        assert "notice ok" in (await browser.get("/")).text
        assert "notice ok" not in (await browser.get("/")).text, "a notice is shown once"


async def test_every_confirmation_has_a_key_of_its_own(system: ScriptedSystem) -> None:
    async with console(system, pausing()) as browser:
        pages = [(await browser.get("/pause")).text for _ in range(2)]
        assert pages[0].partition("idempotency_key")[2][:60] != pages[1].partition("idempotency_key")[2][:60]


@pytest.mark.parametrize(
    ("changed", "headers", "status"),
    [
        ({"csrf_token": "forged"}, FORM, 403),
        ({"csrf_token": ""}, FORM, 403),
        ({}, {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}, 403),
        ({}, {"Origin": "https://evil.test"}, 403),
        ({}, {"Origin": "null"}, 403),
        ({}, {"Sec-Fetch-Site": "same-site"}, 403),
        ({}, {}, 403),
        ({"reason": "  "}, FORM, 400),
        ({"reason": "x" * 501}, FORM, 400),
        ({"idempotency_key": "short"}, FORM, 400),
    ],
)
async def test_a_forged_or_incomplete_form_changes_nothing(
    system: ScriptedSystem, changed: dict[str, str], headers: dict[str, str], status: int
) -> None:
    async with console(system, pausing()) as browser:
        token = await csrf_token(browser, "/pause")
        answer = await browser.post("/pause", data=form(token, **changed), headers=headers)
        assert answer.status_code == status
        assert "POST order-relay/v1/outbox/pause" not in system.calls


async def test_the_token_of_another_session_changes_nothing(system: ScriptedSystem, tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(system, pausing(), **settings) as browser:
        await sign_in(browser, issuer.token("mallory", "operator"))
        foreign = await csrf_token(browser, "/pause")
        await sign_in(browser, issuer.token("olga", "operator"))
        assert (await browser.post("/pause", data=form(foreign), headers=FORM)).status_code == 403
        assert [call for call in system.calls if call.startswith("POST")] == []


async def test_a_reader_changes_nothing(system: ScriptedSystem, tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(system, pausing(), **settings) as browser:
        await sign_in(browser, issuer.token("rita", "reader"))
        assert (await browser.get("/pause")).status_code == 403
        token = await csrf_token(browser, "/")
        assert (await browser.post("/pause", data=form(token), headers=FORM)).status_code == 403
        assert [call for call in system.calls if call.startswith("POST")] == []


@pytest.mark.parametrize("local", [True, False])
async def test_a_stale_session_changes_nothing(system: ScriptedSystem, tmp_path: Path, local: bool) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(system, pausing(), **({} if local else settings)) as browser:
        if not local:
            await sign_in(browser, issuer.token("olga", "operator"))
        token = await csrf_token(browser, "/pause")
        browser.cookies.clear()
        answer = await browser.post("/pause", data=form(token), headers=FORM)
        assert answer.status_code == 403
        assert [call for call in system.calls if call.startswith("POST")] == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (httpx.ConnectError("refused"), "cannot be reached. Nothing was changed"),
        (httpx.ReadTimeout("slow"), "did not say whether it made the change"),
        (httpx.Response(409, json={"detail": "it is <paused> already"}), "did not make the change: it is &lt;"),
        (httpx.Response(500, text="oops"), "did not say whether it made the change"),
        (httpx.Response(503, json={"title": "Temporarily unavailable"}), "did not say whether it made the change"),
    ],
)
async def test_a_change_that_was_not_made_is_explained(answer: Exception | httpx.Response, text: str) -> None:
    async with console(ScriptedSystem({f"order-relay{PATH}": answer}), pausing()) as browser:
        token = await csrf_token(browser, "/pause")
        assert (await browser.post("/pause", data=form(token), headers=FORM)).status_code == 303
        assert text in (await browser.get("/")).text


async def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    answers = iter([httpx.ReadError("lost"), httpx.Response(200, json={"paused": True})])
    system = ScriptedSystem({f"order-relay{PATH}": lambda request: next(answers)})
    async with console(system, pausing()) as browser:
        token = await csrf_token(browser, "/pause")
        await browser.post("/pause", data=form(token), headers=FORM)
        keys = [each.headers["idempotency-key"] for each in system.requests if each.method == "POST"]
        assert keys == [KEY, KEY]


async def test_a_form_for_another_host_is_not_served(system: ScriptedSystem) -> None:
    async with console(system, pausing(), origin="https://rebound.test") as browser:
        assert (await browser.get("/")).status_code == 421
    async with console(system, public_url=None, origin="http://rebound.test") as browser:
        assert (await browser.get("/")).status_code == 421
        assert (await browser.get("/livez")).status_code == 200
    assert ORIGIN.startswith("https://")
