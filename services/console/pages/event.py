"""The envelope and payload of an event: personal fields are masked until an operator asks, which is audited."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path
from starlette.responses import Response

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import Body
from ..web.confirmation import ChangeConfirmation
from ..web.dependencies import ChangeDep, OperatorPage
from ..web.errors import PageError, not_found
from ..web.page import Page

router = APIRouter(include_in_schema=False, prefix="/events/{service}/{event_id}")

Service = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,60}$")]
EventId = Annotated[str, Path(pattern=r"^[0-9a-fA-F-]{36}$")]


@router.get("")
async def show_event(service: Service, event_id: EventId, page: OperatorPage) -> Response:
    """The envelope as the service masks it."""
    process = _service(page, service)
    reply = await page.system.get(process, f"/v1/events/{event_id}/envelope")
    if reply.is_missing:
        raise not_found()
    if not reply.ok:
        raise PageError("service_away", 503)
    return _rendered(page, process, reply.body)


@router.get("/reveal")
async def confirm_reveal(service: Service, event_id: EventId, page: OperatorPage) -> Response:
    """Ask for the reason."""
    t = page.t
    address = f"/events/{quote(_service(page, service).name)}/{event_id}"
    return page.confirm(
        ChangeConfirmation(
            section="find",
            title=t("event.reveal.title"),
            button=t("event.reveal.button"),
            action=f"{address}/reveal",
            back=address,
            facts=((t("event.service"), service), (t("event.id"), event_id)),
            warnings=(t("event.reveal.warning"),),
        )
    )


@router.post("/reveal")
async def reveal(service: Service, event_id: EventId, change: ChangeDep) -> Response:
    """The whole envelope, once: a reload of the page is masked again."""
    page = change.page
    process = _service(page, service)
    path = f"/v1/events/{event_id}"
    reply = await page.system.change(process, f"{path}/reveals", {"reason": change.reason}, key=change.form.key)
    if reply.ok and reply.is_repeated:
        return page.not_shown_again(f"/events/{quote(service)}/{event_id}")
    if reply.ok:
        reply = await page.system.get(process, f"{path}/envelope", {"unmasked": "true"}, fresh_seconds=0)
        page.system.forget()
    if not reply.ok:
        return page.after(reply, to=f"/events/{quote(service)}/{event_id}", done="event.revealed")
    return _rendered(page, process, reply.body, revealed=True)


def _service(page: Page, name: str) -> ApiProcess:
    found = page.system.processes.find(name)
    if found is None or found.is_relay:
        raise not_found()
    return found


def _rendered(page: Page, process: ApiProcess, body: Body, *, revealed: bool = False) -> Response:
    envelope = dict(body.get("envelope") or {})
    data = envelope.pop("data", None)
    return page.render(
        "event.html",
        section="find",
        process=process,
        event_id=str(body.get("event_id")),
        envelope=envelope,
        data=None if data is None else json.dumps(data, indent=2, ensure_ascii=False),
        masked=body.get("masked") or (),
        revealed=revealed,
    )
