"""Changes of an outbox, each confirmed: pause and resume it, hold and release a group, discard a held event."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..web.confirmation import ChangeConfirmation
from ..web.dependencies import ChangeDep, OperatorPage
from .outbox import SECTION, Subject, group_address, outbox_address, relay_of

router = APIRouter(include_in_schema=False)

Switch = Literal["pause", "resume"]
GroupVerb = Literal["hold", "release"]
EventId = Annotated[UUID, Query()]


@router.get("/outbox/{relay}/sending/{verb}")
async def ask_to_switch(page: OperatorPage, relay: str, verb: Switch) -> Response:
    """The confirmation of a pause or of its end."""
    process, t = relay_of(page, relay), page.t
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t(f"outbox.{verb}.title", service=process.service),
            button=t(f"outbox.{verb}.button"),
            action=f"/outbox/{process.name}/sending/{verb}",
            back=outbox_address(process),
            facts=((t("outbox.relay"), process.name),),
            warnings=(t(f"outbox.{verb}.warning"),),
            is_dangerous=verb == "pause",
        )
    )


@router.post("/outbox/{relay}/sending/{verb}")
async def switch(confirmed: ChangeDep, relay: str, verb: Switch) -> Response:
    """Pause or resume the outbox."""
    page = confirmed.page
    process = relay_of(page, relay)
    body = {"reason": confirmed.reason}
    reply = await page.system.change(process, f"/v1/outbox/{verb}", body, key=confirmed.form.key)
    return page.after(reply, outbox_address(process), f"outbox.{verb}.done", service=process.service)


@router.get("/outbox/{relay}/group/{verb}")
async def ask_to_change_group(page: OperatorPage, relay: str, verb: GroupVerb, subject: Subject) -> Response:
    """The confirmation of a hold or of a release."""
    process, t = relay_of(page, relay), page.t
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t(f"outbox.{verb}.title"),
            button=t(f"outbox.{verb}.button"),
            action=f"/outbox/{process.name}/group/{verb}?subject={quote(subject, safe='')}",
            back=group_address(process, subject),
            facts=((t("outbox.relay"), process.name), (t("outbox.subject"), subject)),
            warnings=(t(f"outbox.{verb}.warning"),),
        )
    )


@router.post("/outbox/{relay}/group/{verb}")
async def change_group(confirmed: ChangeDep, relay: str, verb: GroupVerb, subject: Subject) -> Response:
    """Hold or release the message group."""
    page = confirmed.page
    process = relay_of(page, relay)
    path = f"/v1/outbox/groups/{quote(subject, safe='/')}/{verb}"
    reply = await page.system.change(process, path, {"reason": confirmed.reason}, key=confirmed.form.key)
    return page.after(reply, group_address(process, subject), f"outbox.{verb}.done", subject=subject)


@router.get("/outbox/{relay}/discard")
async def ask_to_discard(page: OperatorPage, relay: str, subject: Subject, id: EventId) -> Response:
    """The confirmation of a discard."""
    process, t = relay_of(page, relay), page.t
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t("outbox.discard.title"),
            button=t("outbox.discard.button"),
            action=f"/outbox/{process.name}/discard?subject={quote(subject, safe='')}&id={id}",
            back=group_address(process, subject),
            facts=((t("outbox.relay"), process.name), (t("outbox.event"), str(id)), (t("outbox.subject"), subject)),
            warnings=(t("outbox.discard.warning"),),
            is_dangerous=True,
        )
    )


@router.post("/outbox/{relay}/discard")
async def discard(confirmed: ChangeDep, relay: str, subject: Subject, id: EventId) -> Response:
    """Discard the held event; what it alone held is released."""
    page = confirmed.page
    process = relay_of(page, relay)
    body = {"reason": confirmed.reason}
    reply = await page.system.change(process, f"/v1/outbox/events/{id}/discard", body, key=confirmed.form.key)
    return page.after(reply, group_address(process, subject), "outbox.discard.done", id=str(id))
