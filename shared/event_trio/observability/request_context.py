"""The context of a unit of work: its correlation id and its trace, taken from the caller or created here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog

from ..envelope import uuid7
from .tracing import Traceparent

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The correlation id and traceparent that events recorded during the request carry."""

    correlation_id: str
    traceparent: str

    @classmethod
    def new(cls, correlation_id: str | None = None, traceparent: str | None = None) -> RequestContext:
        """Use the caller's values if they are valid; generate the others.

        A valid traceparent is kept unchanged: its span is the parent of what follows.
        """
        given = correlation_id if correlation_id and _CORRELATION_ID.fullmatch(correlation_id) else None
        trace = Traceparent.parse(traceparent) or Traceparent.new()
        return cls(given or str(uuid7()), str(trace))


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def current_context() -> RequestContext:
    """The context of the current request; a new one outside a request."""
    return _current.get() or RequestContext.new()


@contextmanager
def request_context(context: RequestContext) -> Iterator[None]:
    """Make this the current context, and add it to every log line, until the end of the block."""
    token = _current.set(context)
    try:
        with structlog.contextvars.bound_contextvars(**_log_fields(context)):
            yield
    finally:
        _current.reset(token)


def _log_fields(context: RequestContext) -> dict[str, Any]:
    trace = Traceparent.parse(context.traceparent)
    return {"correlation_id": context.correlation_id, "trace_id": trace.trace_id if trace else None}
