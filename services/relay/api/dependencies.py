"""The dependencies of the routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from event_trio.http.authorization import RequireRole
from event_trio.http.tokens import Principal, Role

from ..operators.broker_acceptance import BrokerAcceptance
from ..operators.message_groups import MessageGroups
from ..operators.operations import Operations
from ..operators.overview import Overview
from ..operators.topology import DescribedTopology
from ..wal.source_state import SourceStatus


@dataclass(frozen=True, slots=True)
class OperatorServices:
    """The queries and operations behind the routes."""

    overview: Overview
    groups: MessageGroups
    operations: Operations
    broker_acceptance: BrokerAcceptance
    topology: DescribedTopology
    source: Callable[[], SourceStatus | None]
    """The state of the write-ahead log as a source; None with SOURCE=table."""
    slot: str


async def _services(request: Request) -> OperatorServices:
    # Set by main; routes are served only while the application runs.
    return cast(OperatorServices, request.app.state.operators())


Services = Annotated[OperatorServices, Depends(_services)]


async def _overview(services: Services) -> Overview:
    return services.overview


async def _groups(services: Services) -> MessageGroups:
    return services.groups


async def _operations(services: Services) -> Operations:
    return services.operations


async def _broker_acceptance(services: Services) -> BrokerAcceptance:
    return services.broker_acceptance


async def _topology(services: Services) -> DescribedTopology:
    return services.topology


OverviewOf = Annotated[Overview, Depends(_overview)]
GroupsOf = Annotated[MessageGroups, Depends(_groups)]
TopologyOf = Annotated[DescribedTopology, Depends(_topology)]
BrokerAcceptanceOf = Annotated[BrokerAcceptance, Depends(_broker_acceptance)]
OperationsOf = Annotated[Operations, Depends(_operations)]
Reader = Annotated[Principal, Depends(RequireRole(Role.READER, Role.OPERATOR))]
Operator = Annotated[Principal, Depends(RequireRole(Role.OPERATOR))]

# AWS: API_Publish, MessageGroupId: printable ASCII without a space; a slash is one of its characters.
SUBJECT = r"^[\x21-\x7e]{1,128}$"
Subject = Annotated[str, Path(pattern=SUBJECT, description="The message group: the id of the aggregate.")]
SubjectFilter = Annotated[str | None, Query(pattern=SUBJECT, description="Only this group.")]
Limit = Annotated[int, Query(ge=1, le=100)]
NumberCursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_cursor` of the page before.")]
