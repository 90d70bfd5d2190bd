"""Routes of redrives of any number of dead letters: request, observe, stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ..http.body import RequestBody
from ..http.idempotency import IN_USE, REUSED, IdempotentRequestDep, response_of
from ..http.openapi import problems
from ..http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem, ProblemKind
from ..idempotency.keyed_request import StoredResponse
from ..inbox.redrives import COUNTED, NothingToRedrive, RedriveFinished, RedriveNotFound, Redrives
from ..inbox.selection import By
from .messages import MessageSelectionRequest, Rate
from .parameters import LIST, NEXT, READ, Cursor, Limit, Operator, Reader, ReasonText
from .processed_messages import MessageCountView

router = APIRouter(prefix="/v1/redrives", tags=["dead letters"])

FINISHED = ProblemKind("redrive-finished", "The redrive has finished or was stopped", 409)
STOP = problems(NOT_FOUND, INVALID_REQUEST, REUSED, IN_USE, FINISHED, UNAVAILABLE)
LOCATION = {
    "Location": {
        "description": "The address of the redrive, with its progress.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}


async def _redrives(request: Request) -> Redrives:
    return cast(Redrives, request.app.state.redrives)


RedrivesDep = Annotated[Redrives, Depends(_redrives)]
RedriveId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class RedriveJobRequest(MessageSelectionRequest):
    """Which dead letters to redrive in steps, and why: one by its event id, those that match a filter, or `all`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"failure": "failed", "reason": "the carrier is back", "dry_run": True, "per_second": 20}]
        }
    )

    per_second: Rate | None = None


class RedriveStopRequest(RequestBody):
    """Why a redrive is stopped."""

    reason: ReasonText


class RedriveView(BaseModel):
    """A redrive. It takes the dead letters that matched when it was requested, oldest first."""

    id: int
    requested_at: datetime
    requested_by: str
    reason: str
    selection: dict[str, str] = Field(description="The criteria; none if all were selected.")
    per_second: float | None
    chosen: MessageCountView = Field(description="The dead letters that matched when it was requested.")
    redriven: int = Field(description="Those that were made due so far.")
    finished_at: datetime | None = Field(description="When the last one was made due, or the redrive was stopped.")
    stopped_at: datetime | None
    stopped_by: str | None
    stopped_reason: str | None


class RedriveProgressView(RedriveView):
    """A redrive, and what became of the messages that it made due."""

    waiting: int = Field(description="Not handled yet.")
    dead: int = Field(description="Dead letters again.")
    completed: int = Field(description="Handled, or taken by a later change of an operator.")


class RedrivePage(BaseModel):
    """Redrives, newest first."""

    items: list[RedriveView]
    next_cursor: str | None = Field(description=NEXT)


class RequestedRedrive(BaseModel):
    """What a redrive would take, or the redrive that was requested."""

    dry_run: bool
    messages: MessageCountView = Field(description="The dead letters that match.")
    message_groups: int | None = Field(description="The message groups that they belong to; null unless a dry run.")
    redrive: RedriveView | None = Field(description="Null for a dry run.")


CREATE: dict[int | str, dict[str, Any]] = {
    **problems(NOT_FOUND, INVALID_REQUEST, REUSED, IN_USE, UNAVAILABLE),
    200: {"description": "A dry run; nothing was changed"},
    202: {"model": RequestedRedrive, "description": "Requested; it is carried out in steps", "headers": LOCATION},
}


@router.post("", summary="Redrive any number of dead letters", responses=CREATE, response_model=RequestedRedrive)
async def request_redrive(
    body: RedriveJobRequest,
    caller: Operator,
    redrives: RedrivesDep,
    request: Request,
    repeatable: IdempotentRequestDep,
) -> RequestedRedrive | Response:
    """Runs their handlers again, in the order of each message group, in steps that continue without the caller."""
    if body.dry_run:
        found = await redrives.choose(body.selection)
        return RequestedRedrive(
            dry_run=True, messages=_count(found.messages), message_groups=found.message_groups, redrive=None
        )

    def answer(row: Any) -> StoredResponse:
        view = RedriveView(**_fields(row))
        address = str(request.app.url_path_for("read_redrive", id=str(row.id)))
        return response_of(
            RequestedRedrive(dry_run=False, messages=view.chosen, message_groups=None, redrive=view),
            202,
            Location=address,
        )

    ask = partial(redrives.request, body.selection, By(caller.subject, body.reason), per_second=body.per_second)
    with _as_problems():
        return await repeatable.respond(caller, lambda once: ask(once=once), answer)


@router.get("", summary="List redrives, newest first", responses=LIST)
async def list_redrives(caller: Reader, redrives: RedrivesDep, limit: Limit = 20, cursor: Cursor = None) -> RedrivePage:
    """Those that were requested here, finished ones included."""
    found = await redrives.page(before=cursor, limit=limit + 1)
    shown = found[:limit]
    more = str(shown[-1].id) if len(found) > limit else None
    return RedrivePage(items=[RedriveView(**_fields(row)) for row in shown], next_cursor=more)


@router.get("/{id}", summary="Read a redrive", responses=READ)
async def read_redrive(id: RedriveId, caller: Reader, redrives: RedrivesDep) -> RedriveProgressView:
    """Its progress, and what became of the messages."""
    with _as_problems():
        found = await redrives.progress(id)
    completed = max(0, found.row.redriven - found.waiting - found.dead)
    return RedriveProgressView(**_fields(found.row), waiting=found.waiting, dead=found.dead, completed=completed)


@router.post("/{id}/stop", summary="Stop a redrive", responses=STOP, response_model=RedriveView)
async def stop_redrive(
    id: RedriveId, body: RedriveStopRequest, caller: Operator, redrives: RedrivesDep, repeatable: IdempotentRequestDep
) -> Response:
    """The messages that are due already run; the others stay dead letters."""
    stop = partial(redrives.stop, id, By(caller.subject, body.reason))
    with _as_problems():
        return await repeatable.respond(
            caller, lambda once: stop(once=once), lambda row: response_of(RedriveView(**_fields(row)))
        )


def _fields(row: Any) -> dict[str, Any]:
    known = {name: getattr(row, name) for name in RedriveView.model_fields if name != "chosen"}
    return {**known, "chosen": _count(row.chosen)}


def _count(messages: int) -> MessageCountView:
    return MessageCountView(value=messages, at_least=messages >= COUNTED)


@contextmanager
def _as_problems() -> Iterator[None]:
    try:
        yield
    except NothingToRedrive:
        raise HttpProblem(NOT_FOUND, "no dead letter matches, so nothing would be redriven") from None
    except RedriveNotFound:
        raise HttpProblem(NOT_FOUND, "there is no redrive with this number") from None
    except RedriveFinished as error:
        raise HttpProblem(FINISHED, str(error)) from None
