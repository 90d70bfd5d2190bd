"""Replays: previewed, confirmed, followed and cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply, failed
from ..web.confirmation import ChangeConfirmation
from ..web.dependencies import ChangeDep, OperatorPage, ReaderPage
from ..web.errors import not_found
from ..web.forms import new_key
from .form_times import time_of
from .outbox import SECTION, outbox_address, relay_of
from .progress import follow_progress

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Query(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
ReplayId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class ReplayCriteria:
    """Which published events are sent again; without a criterion, all."""

    event_id: str = ""
    subject: str = ""
    type: str = ""
    since: str = ""
    until: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The criteria that restrict."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value}

    def body(self) -> dict[str, object]:
        """The selection in the body of a request."""
        return dict(self.given) or {"everything": True}


@router.get("/outbox/{relay}/replay")
async def choose_replay(page: OperatorPage, relay: str) -> Response:
    """The form for the criteria of a replay."""
    process = relay_of(page, relay)
    return page.render("replay_form.html", section=SECTION, process=process)


@router.get("/outbox/{relay}/replay/preview")
async def preview_replay(
    page: OperatorPage,
    relay: str,
    event_id: Text = "",
    subject: Text = "",
    type: Text = "",
    since: Text = "",
    until: Text = "",
) -> Response:
    """How many events would be sent again; nothing is changed."""
    process, t = relay_of(page, relay), page.t
    zone = page.preferences.zone
    criteria = ReplayCriteria(
        event_id.strip(), subject.strip(), type.strip(), time_of(since, zone), time_of(until, zone)
    )
    body = {**criteria.body(), "dry_run": True}
    preview = await page.system.change(process, "/v1/outbox/replays", body, key=new_key())
    back = f"/outbox/{process.name}/replay"
    if not preview.ok:
        return page.without_preview(preview, back)
    events, at_least = preview.body["events"], preview.body.get("at_least", False)
    if not events and not at_least:
        page.session.notify("warn", "outbox.replay.nothing")
        return page.redirect(back)
    number = f"{events:,}{'+' if at_least else ''}"
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t("outbox.replay.title", service=process.service),
            button=t("outbox.replay.button", count=number),
            action=f"/outbox/{process.name}/replay",
            back=back,
            facts=(
                (t("outbox.relay"), process.name),
                (t("outbox.events"), number),
                *((t(f"outbox.{name}"), value) for name, value in criteria.given.items()),
            ),
            warnings=(t("outbox.replay.warning"), *(() if criteria.given else (t("outbox.replay.everything"),))),
            fields=criteria.given,
        )
    )


@router.post("/outbox/{relay}/replay")
async def replay(confirmed: ChangeDep, relay: str) -> Response:
    """Request the replay, and show its progress."""
    page, form = confirmed.page, confirmed.form
    process = relay_of(page, relay)
    criteria = ReplayCriteria(*(form.text(field.name, most=300) for field in fields(ReplayCriteria)))
    body = {**criteria.body(), "dry_run": False, "reason": confirmed.reason}
    reply = await page.system.change(process, "/v1/outbox/replays", body, key=form.key)
    to = _address(process, reply.body["replay"]) if reply.ok else outbox_address(process)
    return page.after(reply, to, "outbox.replay.requested")


@router.get("/outbox/{relay}/replays/{id}")
async def show_replay(page: ReaderPage, relay: str, id: ReplayId) -> Response:
    """The progress of a replay. One call."""
    process = relay_of(page, relay)
    reply = await page.system.get(process, f"/v1/outbox/replays/{id}")
    if reply.is_missing:
        raise not_found()
    return page.render("replay.html", section=SECTION, **_context(id, process, reply))


@router.get("/outbox/{relay}/replays/{id}/stream")
async def follow_replay(page: ReaderPage, relay: str, id: ReplayId) -> Response:
    """The same as it changes, until it is finished."""
    process = relay_of(page, relay)
    path, context = f"/v1/outbox/replays/{id}", partial(_context, id)
    return page.follow(follow_progress(page, process, path, "replay.html", section=SECTION, context_of=context))


@router.get("/outbox/{relay}/replays/{id}/cancel")
async def ask_to_cancel(page: OperatorPage, relay: str, id: ReplayId) -> Response:
    """The confirmation of a cancellation."""
    process, t = relay_of(page, relay), page.t
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t("outbox.cancel.title"),
            button=t("outbox.cancel.button"),
            action=f"{_address(process, id)}/cancel",
            back=_address(process, id),
            facts=((t("outbox.relay"), process.name), (t("outbox.replay"), str(id))),
            warnings=(t("outbox.cancel.warning"),),
        )
    )


@router.post("/outbox/{relay}/replays/{id}/cancel")
async def cancel(confirmed: ChangeDep, relay: str, id: ReplayId) -> Response:
    """Cancel the replay."""
    page = confirmed.page
    process = relay_of(page, relay)
    body = {"reason": confirmed.reason}
    reply = await page.system.change(process, f"/v1/outbox/replays/{id}/cancel", body, key=confirmed.form.key)
    return page.after(reply, _address(process, id), "outbox.cancel.done")


def _context(id: int, process: ApiProcess, reply: ApiReply) -> dict[str, Any]:
    replay: Mapping[str, Any] = reply.body
    return {
        "process": process,
        "replay": replay,
        "reply": reply,
        "is_over": bool(replay.get("finished_at")),
        "failed": failed([reply]),
        "address_of": _address(process, id),
    }


def _address(process: ApiProcess, id: int) -> str:
    return f"/outbox/{process.name}/replays/{id}"
