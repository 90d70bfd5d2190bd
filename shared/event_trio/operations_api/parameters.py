"""Parameters, roles and documented problems that the operations routes have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import Field, StringConstraints

from ..http.authorization import RequireRole
from ..http.idempotency import IN_USE, REUSED
from ..http.openapi import problems
from ..http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, ProblemKind
from ..http.reason import REASON
from ..http.tokens import Principal, Role

BUSY = ProblemKind("message-busy", "The message is being handled right now", 409, transient=True)
BLOCKED = ProblemKind("message-blocked", "The message waits for an earlier one of its group", 409)

LIST = problems(INVALID_REQUEST, UNAVAILABLE)
STATE = problems(UNAVAILABLE)
READ = problems(NOT_FOUND, INVALID_REQUEST, UNAVAILABLE)
CHANGE = problems(INVALID_REQUEST, REUSED, IN_USE, BUSY, UNAVAILABLE)
RUN = problems(INVALID_REQUEST, REUSED, IN_USE, BUSY, BLOCKED, UNAVAILABLE)

# Postgres cannot store U+0000 in a text.
PRINTABLE = r"^[^\x00]+$"
# The largest integer that every JSON parser represents exactly (RFC 8259, section 6).
LARGEST_EXACT_INTEGER = 2**53 - 1
NEXT = "Pass it as `cursor` to get the next page; null on the last page."
PREVIOUS_CURSOR = "`next_cursor` of the previous page."

Text = Annotated[str, Query(max_length=2048, pattern=PRINTABLE)]
BodyText = Annotated[str, Field(min_length=1, max_length=2048, pattern=PRINTABLE)]
ReasonText = Annotated[str, StringConstraints(pattern=REASON, max_length=2048, strip_whitespace=True)]
EventId = Annotated[str, Path(max_length=200, pattern=PRINTABLE)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description=PREVIOUS_CURSOR)]

Reader = Annotated[Principal, Depends(RequireRole(Role.READER, Role.OPERATOR, Role.SERVICE))]
Operator = Annotated[Principal, Depends(RequireRole(Role.OPERATOR))]
