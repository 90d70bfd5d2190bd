"""The spans of this process: nothing happens, and OpenTelemetry is not imported, until a tracer is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from typing import Protocol

from .tracing import SAMPLED, Traceparent

Attributes = Mapping[str, str | int | bool]


class Kind(Enum):
    """What a span is to the others of its trace."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(Protocol):
    """A unit of work that has begun. Times are nanoseconds since the epoch."""

    @property
    def traceparent(self) -> str:
        """Its place in the trace, for its children. The flags say whether the trace is sampled."""
        ...

    def rename(self, name: str) -> None:
        """Give it its final name."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Set attributes: no bodies, no secrets, no personal data."""
        ...

    def fail(self, error: str) -> None:
        """Mark it as failed. `error` is a type or a code, never a text."""
        ...

    def end(self, at: int | None = None) -> None:
        """End it, now or at that time."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    continues: bool
    """Whether processing an event continues the trace of its producer; otherwise it begins a trace that links to it."""

    def begin(
        self,
        name: str,
        kind: Kind,
        *,
        parent: str | None = None,
        links: Sequence[str] = (),
        attributes: Attributes | None = None,
        at: int | None = None,
    ) -> Span:
        """Begin a span, which is not the current one. Without a valid parent it begins a trace."""
        ...

    def current(self) -> Span:
        """The current span; its traceparent is empty if there is none."""
        ...

    def use(self, span: Span) -> AbstractContextManager[object]:
        """Make it the current span. The block neither ends it nor marks it as failed."""
        ...

    def suppress(self) -> AbstractContextManager[object]:
        """Let no instrumentation of a library make spans or change what is sent."""
        ...

    def close(self) -> None:
        """Export what has ended; bounded in time."""
        ...


class _NoSpan:
    """The span of a process without a tracer."""

    traceparent = ""

    def rename(self, name: str) -> None: ...

    def set(self, attributes: Attributes) -> None: ...

    def fail(self, error: str) -> None: ...

    def end(self, at: int | None = None) -> None: ...


NO_SPAN: Span = _NoSpan()
_NOTHING: AbstractContextManager[Span] = nullcontext(NO_SPAN)
_installed: list[Tracer] = []


def install(tracer: Tracer | None) -> None:
    """Make spans with this tracer from now on; None stops that."""
    _installed[:] = [tracer] if tracer is not None else []


def tracer() -> Tracer | None:
    """The installed tracer."""
    return _installed[0] if _installed else None


def current() -> Span:
    """The current span; its traceparent is empty if there is none."""
    return _installed[0].current() if _installed else NO_SPAN


def client(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """A call to something outside, as the current span and a child of the one before."""
    if not _installed:
        return _NOTHING
    parent = _installed[0].current().traceparent
    return active(_installed[0], name, Kind.CLIENT, parent=parent, attributes=attributes)


@contextmanager
def active(
    tracer: Tracer,
    name: str,
    kind: Kind,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    attributes: Attributes | None = None,
) -> Iterator[Span]:
    """A span that is the current one in the block; an exception marks it as failed."""
    span = tracer.begin(name, kind, parent=parent, links=links, attributes=attributes)
    try:
        with tracer.use(span):
            yield span
    except BaseException as error:
        span.fail(type(error).__name__)
        raise
    finally:
        span.end()


def suppressed() -> AbstractContextManager[object]:
    """No instrumentation of a library changes what is sent in the block."""
    return _installed[0].suppress() if _installed else _NOTHING


# The first match is the envelope's own attribute: it stands before the payload, and quotes in a text are escaped.
_IN_ENVELOPE = re.compile(r'"traceparent" ?: ?"([0-9a-f-]+)"')


def traceparent_in(body: bytes | str) -> str | None:
    """The traceparent of a serialized envelope, if its trace is sampled."""
    found = _IN_ENVELOPE.search(body if isinstance(body, str) else body.decode(errors="replace"))
    return sampled(found[1]) if found else None


def sampled(traceparent: str | None) -> str | None:
    """The traceparent if it is valid and its trace is sampled."""
    context = Traceparent.parse(traceparent)
    return str(context) if context is not None and context.flags & SAMPLED else None


def exemplar(traceparent: str | None) -> dict[str, str] | None:
    """The exemplar that leads from a sample of a histogram to its trace; None without a tracer or if not sampled."""
    if not _installed or (found := sampled(traceparent)) is None:
        return None
    return {"trace_id": found[3:35], "span_id": found[36:52]}
