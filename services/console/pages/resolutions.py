"""Discarding messages, and running deferred ones now: previewed and confirmed."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from ..web.confirmation import ChangeConfirmation
from ..web.dependencies import ChangeDep, OperatorPage
from ..web.forms import new_key
from ..web.page import query
from .failures import SECTION
from .message_filters import FilterDep, filter_of, service_of
from .redrives import facts_of

router = APIRouter(include_in_schema=False)

MOST = 1000
"""The most messages that a service changes in one call."""
Verb = Literal["discard", "run"]


@router.get("/dead-letters/{service}/changes/{verb}")
async def preview_change(page: OperatorPage, service: str, verb: Verb, chosen: FilterDep) -> Response:
    """How many messages would be discarded or run; nothing is changed."""
    process, t = service_of(page, service), page.t
    body = {**chosen.selection(), "reason": "preview", "dry_run": True, "limit": MOST}
    preview = await page.system.change(process, f"{chosen.path}/{verb}", body, key=new_key())
    back = query(f"/dead-letters/{process.name}/messages", chosen.values)
    if not preview.ok:
        return page.without_preview(preview, back)
    items = preview.body["items"]
    if not items:
        page.session.notify("warn", "dead_letters.nothing")
        return page.redirect(back)
    warnings = [t(f"dead_letters.{verb}.warning")]
    if len(items) == MOST:
        warnings.append(t("dead_letters.in_parts", most=f"{MOST:,}"))
    facts = (
        (t("dead_letters.service"), process.name),
        (t("dead_letters.messages"), f"{len(items):,}"),
        (t("dead_letters.message_groups"), f"{len({item['message_group'] for item in items}):,}"),
        *facts_of(page, chosen),
    )
    return page.confirm(
        ChangeConfirmation(
            section=SECTION,
            title=t(f"dead_letters.{verb}.title", service=process.name),
            button=t(f"dead_letters.{verb}.button", count=len(items)),
            action=f"/dead-letters/{process.name}/changes/{verb}",
            back=back,
            facts=facts,
            warnings=tuple(warnings),
            fields=chosen.values,
            is_dangerous=verb == "discard",
        )
    )


@router.post("/dead-letters/{service}/changes/{verb}")
async def change_messages(confirmed: ChangeDep, service: str, verb: Verb) -> Response:
    """Make the change, at most `MOST` messages."""
    page = confirmed.page
    process, chosen = service_of(page, service), filter_of(confirmed.form.fields)
    body = {**chosen.selection(), "reason": confirmed.reason, "limit": MOST}
    reply = await page.system.change(process, f"{chosen.path}/{verb}", body, key=confirmed.form.key)
    # What was selected by its id or fingerprint is no longer there.
    rest = chosen.without("event_id", "fingerprint")
    to = query("/dead-letters", {"status": chosen.values.get("status"), "service": process.name})
    if rest.criteria:
        to = query(f"/dead-letters/{process.name}/messages", rest.values)
    changed = len(reply.body.get("items", ()))
    if reply.ok and not changed:
        # Others resolved all of them after the confirmation was shown.
        page.session.notify("warn", "dead_letters.nothing")
        return page.redirect(to)
    return page.after(reply, to, f"dead_letters.{verb}.done", count=changed)
