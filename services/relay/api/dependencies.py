"""What the routes work with."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from event_trio.http.authorization import RequireRole
from event_trio.http.tokens import Principal, Role

from ..operators.broker_acceptance import BrokerAcceptance
from ..operators.message_groups import MessageGroups
from ..operators.operations import Operations
from ..operators.overview import Overview


def _overview(request: Request) -> Overview:
    return cast(Overview, request.app.state.overview)


def _groups(request: Request) -> MessageGroups:
    return cast(MessageGroups, request.app.state.groups)


def _operations(request: Request) -> Operations:
    return cast(Operations, request.app.state.operations)


def _broker_acceptance(request: Request) -> BrokerAcceptance:
    return cast(BrokerAcceptance, request.app.state.broker_acceptance)


OverviewOf = Annotated[Overview, Depends(_overview)]
GroupsOf = Annotated[MessageGroups, Depends(_groups)]
BrokerAcceptanceOf = Annotated[BrokerAcceptance, Depends(_broker_acceptance)]
OperationsOf = Annotated[Operations, Depends(_operations)]
Operator = Annotated[Principal, Depends(RequireRole(Role.OPERATOR))]

# AWS: API_Publish, MessageGroupId: printable ASCII without a space; a slash is one of its characters.
SUBJECT = r"^[\x21-\x7e]{1,128}$"
Subject = Annotated[str, Path(pattern=SUBJECT, description="The group: the id of the aggregate.")]
SubjectFilter = Annotated[str | None, Query(pattern=SUBJECT, description="Only this group.")]
Limit = Annotated[int, Query(ge=1, le=100)]
NumberCursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_cursor` of the page before.")]
