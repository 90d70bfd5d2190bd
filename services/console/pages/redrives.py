"""Redriving dead letters: previewed, confirmed, followed and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply, failed
from ..web.confirmation import ChangeConfirmation
from ..web.dependencies import ChangeDep, OperatorPage, ReaderPage
from ..web.errors import invalid, not_found
from ..web.forms import new_key
from ..web.page import Page, query
from .failures import SECTION
from .message_filters import FilterDep, MessageFilter, Rate, filter_of, service_of
from .progress import follow_progress

router = APIRouter(include_in_schema=False)

RATES: tuple[Rate, ...] = ("", "100", "10", "1")
RedriveId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("/dead-letters/{service}/redrive")
async def preview_redrive(page: OperatorPage, service: str, chosen: FilterDep, per_second: Rate = "") -> Response:
    """How many dead letters would be redriven; nothing is changed."""
    process = service_of(page, service)
    body = {**chosen.selection(), "reason": "preview", "dry_run": True}
    preview = await page.system.change(process, "/v1/redrives", body, key=new_key())
    back = _messages(process, chosen)
    if not preview.ok:
        return page.without_preview(preview, back)
    t, found = page.t, preview.body
    if not found["messages"]["value"]:
        page.session.notify("warn", "dead_letters.nothing")
        return page.redirect(back)
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t("dead_letters.redrive.title", service=process.name),
            button=t("dead_letters.redrive.button", count=_number(found["messages"])),
            action=f"/dead-letters/{process.name}/redrive",
            back=back,
            facts=(
                (t("dead_letters.service"), process.name),
                (t("dead_letters.messages"), _number(found["messages"])),
                (t("dead_letters.message_groups"), f"{found['message_groups']:,}"),
                *facts_of(page, chosen),
                (t("dead_letters.rate"), t(f"dead_letters.rate.{per_second or 'none'}")),
            ),
            warnings=(t("dead_letters.redrive.order"),),
            fields={**chosen.values, "per_second": per_second},
        )
    )


@router.post("/dead-letters/{service}/redrive")
async def redrive(confirmed: ChangeDep, service: str) -> Response:
    """Request the redrive, and show its progress."""
    page, form = confirmed.page, confirmed.form
    process, chosen = service_of(page, service), filter_of(form.fields)
    per_second = form.text("per_second")
    if per_second not in RATES:
        raise invalid()
    body = {**chosen.selection(), "reason": confirmed.reason, "per_second": float(per_second) if per_second else None}
    reply = await page.system.change(process, "/v1/redrives", body, key=form.key)
    to = _messages(process, chosen) if not reply.ok else _address(process, reply.body["redrive"]["id"])
    return page.after(reply, to, "dead_letters.redrive.requested")


@router.get("/dead-letters/{service}/redrives/{id}")
async def show_redrive(page: ReaderPage, service: str, id: RedriveId) -> Response:
    """The progress of a redrive. One call."""
    process = service_of(page, service)
    reply = await page.system.get(process, f"/v1/redrives/{id}")
    if reply.is_missing:
        raise not_found()
    return page.render("redrive.html", section=SECTION, **_context(id, process, reply))


@router.get("/dead-letters/{service}/redrives/{id}/stream")
async def follow_redrive(page: ReaderPage, service: str, id: RedriveId) -> Response:
    """The same as it changes, until all of its messages have an outcome."""
    process = service_of(page, service)
    path, context = f"/v1/redrives/{id}", partial(_context, id)
    return page.follow(follow_progress(page, process, path, "redrive.html", section=SECTION, context_of=context))


@router.get("/dead-letters/{service}/redrives/{id}/stop")
async def ask_to_stop(page: OperatorPage, service: str, id: RedriveId) -> Response:
    """The confirmation of a stop."""
    process, t = service_of(page, service), page.t
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t("dead_letters.stop.title"),
            button=t("dead_letters.stop.button"),
            action=f"{_address(process, id)}/stop",
            back=_address(process, id),
            facts=((t("dead_letters.service"), process.name), (t("dead_letters.redrive"), str(id))),
            warnings=(t("dead_letters.stop.warning"),),
        )
    )


@router.post("/dead-letters/{service}/redrives/{id}/stop")
async def stop(confirmed: ChangeDep, service: str, id: RedriveId) -> Response:
    """Stop the redrive."""
    page = confirmed.page
    process = service_of(page, service)
    body = {"reason": confirmed.reason}
    reply = await page.system.change(process, f"/v1/redrives/{id}/stop", body, key=confirmed.form.key)
    return page.after(reply, _address(process, id), "dead_letters.stop.done")


def facts_of(page: Page, chosen: MessageFilter) -> tuple[tuple[str, str], ...]:
    """The criteria of a filter, for a confirmation."""
    return tuple((page.t(f"dead_letters.{name}"), value) for name, value in chosen.criteria.items())


def _context(id: int, process: ApiProcess, reply: ApiReply) -> dict[str, Any]:
    redrive: Mapping[str, Any] = reply.body
    is_over = bool(redrive.get("finished_at")) and not redrive.get("waiting")
    return {
        "process": process,
        "redrive": redrive,
        "reply": reply,
        "is_over": is_over,
        "failed": failed([reply]),
        "address_of": _address(process, id),
        "left": _left(process, redrive.get("selection") or {}),
    }


def _address(process: ApiProcess, id: int) -> str:
    return f"/dead-letters/{process.name}/redrives/{id}"


def _left(process: ApiProcess, selection: Mapping[str, str]) -> str:
    """The dead letters that a redrive may have left. Those that failed again may have failed for another reason."""
    rest = {name: value for name, value in selection.items() if name not in ("fingerprint", "reason")}
    return query(f"/dead-letters/{process.name}/messages", rest)


def _messages(process: ApiProcess, chosen: MessageFilter) -> str:
    return query(f"/dead-letters/{process.name}/messages", chosen.values)


def _number(count: Mapping[str, Any]) -> str:
    return f"{count['value']:,}{'+' if count['at_least'] else ''}"
