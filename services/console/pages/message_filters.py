"""Which dead letters or deferred messages a page shows and a change takes, as the query of an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC
from typing import Annotated, Literal

from fastapi import Depends, Query
from starlette.requests import Request

from ..api_clients.processes import ApiProcess
from ..web.dependencies import FrameDep
from ..web.errors import invalid, not_found
from ..web.page import Page
from .form_times import time_of

Status = Literal["dead", "pending"]
PRINTABLE = r"[^\x00-\x1f\x7f]{0,300}"
Text = Annotated[str, Query(pattern=f"^{PRINTABLE}$")]
Rate = Literal["", "1", "10", "100"]

PATHS: Mapping[str, str] = {"dead": "/v1/dead-letters", "pending": "/v1/deferred-messages"}


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """ReplayCriteria of messages; an empty one does not restrict. `since` and `until` are ISO 8601 times."""

    status: Status = "dead"
    event_id: str = ""
    fingerprint: str = ""
    type: str = ""
    group: str = ""
    failure: str = ""
    """The reason for which the message failed."""
    since: str = ""
    until: str = ""

    @property
    def criteria(self) -> dict[str, str]:
        """The criteria that restrict, without the status."""
        given = {field.name: str(getattr(self, field.name)) for field in fields(self) if field.name != "status"}
        return {name: value for name, value in given.items() if value}

    @property
    def values(self) -> dict[str, str]:
        """The query that leads to the same messages."""
        return {**({"status": self.status} if self.status != "dead" else {}), **self.criteria}

    @property
    def path(self) -> str:
        """The path of these messages at their service."""
        return PATHS[self.status]

    def parameters(self) -> dict[str, str]:
        """The parameters of a list of these messages."""
        given = self.criteria
        return {"reason" if name == "failure" else name: value for name, value in given.items()}

    def selection(self) -> dict[str, object]:
        """The selection in the body of a change. Without criteria, all messages are meant."""
        return dict(self.criteria) or {"all": True}

    def without(self, *names: str) -> MessageFilter:
        """The same without these criteria."""
        return replace(self, **dict.fromkeys(names, ""))  # type: ignore[arg-type]


async def message_filter(
    request: Request,
    frame: FrameDep,
    status: Status = "dead",
    event_id: Text = "",
    fingerprint: Text = "",
    type: Text = "",
    group: Text = "",
    failure: Text = "",
    since: Text = "",
    until: Text = "",
) -> MessageFilter:
    """The filter of an address. A time without a zone is one of the reader's. Raises PageError for one that is none."""
    zone = frame.preferences(request).zone
    return MessageFilter(
        status,
        event_id.strip(),
        fingerprint.strip(),
        type.strip(),
        group.strip(),
        failure.strip(),
        time_of(since, zone),
        time_of(until, zone),
    )


FilterDep = Annotated[MessageFilter, Depends(message_filter)]


def filter_of(values: Mapping[str, str]) -> MessageFilter:
    """The filter of a confirmed form. Raises PageError for values that no page sends."""
    status = values.get("status") or "dead"
    if status not in PATHS:
        raise invalid()
    known = {field.name: values.get(field.name, "") for field in fields(MessageFilter) if field.name != "status"}
    if not all(re.fullmatch(PRINTABLE, value) for value in known.values()):
        # Without what it restricts by, a filter would take other messages than those that were confirmed.
        raise invalid()
    found = MessageFilter("dead" if status == "dead" else "pending", **known)
    return replace(found, since=time_of(found.since, UTC), until=time_of(found.until, UTC))


def service_of(page: Page, name: str) -> ApiProcess:
    """The service of that name. Raises PageError if there is none."""
    found = page.system.processes.find(name)
    if found is None or found.is_relay:
        raise not_found()
    return found
