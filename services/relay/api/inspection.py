"""Read-only routes: the outbox, its lanes, groups, events, replays and audit."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from event_trio.http.openapi import problems
from event_trio.http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE
from event_trio.operations_api.topology import QueueView, TopicView

from ..operators.operations import NotInOutbox, lane_of
from ..operators.views import GroupView, OutboxEventView, ReplayView, StatusView
from ..settings import OutboxSource
from .dependencies import (
    SUBJECT,
    GroupsOf,
    Limit,
    NumberCursor,
    OverviewOf,
    Reader,
    Services,
    Subject,
    SubjectFilter,
    TopologyOf,
)
from .schemas import AuditPage, HeldGroupPage, LanesView, RelayTopologyView, SourceView

router = APIRouter(prefix="/v1/outbox", tags=["outbox"])

READ = problems(UNAVAILABLE)
LIST = problems(INVALID_REQUEST, UNAVAILABLE)
FIND = problems(NOT_FOUND, INVALID_REQUEST, UNAVAILABLE)


@router.get("", summary="Read the outbox's state", responses=READ)
async def read_outbox(caller: Reader, overview: OverviewOf) -> StatusView:
    """The backlog, held groups, and whether the outbox is paused or a replay is in progress."""
    return await overview.status()


@router.get("/lanes", summary="List lanes and relays", responses=READ)
async def list_lanes(caller: Reader, overview: OverviewOf) -> LanesView:
    """Every lane with its owner, and every relay of this outbox."""
    relays, lanes = await overview.lanes()
    return LanesView(relays=relays, lanes=lanes)


@router.get("/topology", summary="Describe the topic and the publish check", responses=READ)
async def read_outbox_topology(caller: Reader, topology: TopologyOf) -> RelayTopologyView:
    """As they exist in the broker now, with every subscription of the topic."""
    topic, check = await topology.describe()
    return RelayTopologyView(topic=TopicView.model_validate(topic), publish_check=QueueView.model_validate(check))


@router.get("/source", summary="Describe the source of new events", responses=READ)
async def read_source(caller: Reader, services: Services) -> SourceView:
    """Whether this relay reads the table or the write-ahead log, and the replication slot of the latter."""
    status = services.source()
    return SourceView(
        source=OutboxSource.TABLE if status is None else OutboxSource.WAL,
        slot=None if status is None else services.slot,
        state=status and status.state,
        detail=status and status.detail,
        pressure=status and status.pressure,
        kept_bytes=status and status.kept_bytes,
        unconfirmed_bytes=status and status.unconfirmed_bytes,
        safe_bytes=status and status.safe_bytes,
        failover=status and status.failover,
    )


@router.get("/held-groups", summary="List held groups, by subject", responses=LIST)
async def list_held_groups(
    caller: Reader,
    groups: GroupsOf,
    limit: Limit = 20,
    cursor: Annotated[str, Query(pattern=SUBJECT, description="`next_cursor` of the page before.")] = "",
) -> HeldGroupPage:
    """Held message groups, why they are held, and how many events wait in each. Held orders are a different thing."""
    found = await groups.held_groups(after=cursor, limit=limit + 1)
    shown = found[:limit]
    more = shown[-1].subject if len(found) > limit else None
    return HeldGroupPage(items=shown, next_cursor=more)


@router.get("/groups/{subject:path}", summary="Read a group", responses=FIND)
async def read_group(subject: Subject, caller: Reader, groups: GroupsOf, limit: Limit = 20) -> GroupView:
    """The unpublished events of a group; none if all are published. 404 if the outbox has no event of the group."""
    found = await groups.group(subject, lane_of(subject), limit=limit)
    if found is None:
        raise NotInOutbox("the outbox has no event of this group: it is unknown here, or pruned after its retention")
    return found


@router.get("/events/{event_id}", summary="Read an event", responses=FIND)
async def read_event(event_id: UUID, caller: Reader, groups: GroupsOf) -> OutboxEventView:
    """Times, attempts and reasons, and the operations on it. Includes discarded events, not pruned ones."""
    found = await groups.event(event_id)
    if found is None:
        raise NotInOutbox("this event is not in the outbox: unknown, or pruned after its retention")
    return found


@router.get("/replays/{id}", summary="Read a replay", responses=FIND)
async def read_replay(id: Annotated[int, Path(ge=1, le=2**63 - 1)], caller: Reader, overview: OverviewOf) -> ReplayView:
    """The progress of a replay."""
    found = await overview.replay(id)
    if found is None:
        raise NotInOutbox("there is no replay with this number")
    return found


@router.get("/audit", summary="List changes, newest first", responses=LIST)
async def list_audit(
    caller: Reader,
    overview: OverviewOf,
    subject: SubjectFilter = None,
    event_id: UUID | None = None,
    limit: Limit = 20,
    cursor: NumberCursor = None,
) -> AuditPage:
    """Who changed what, and why: all entries, or those about one group or event."""
    found = await overview.audit(before=cursor, subject=subject, event_id=event_id, limit=limit + 1)
    shown = found[:limit]
    more = str(shown[-1].id) if len(found) > limit else None
    return AuditPage(items=shown, next_cursor=more)
