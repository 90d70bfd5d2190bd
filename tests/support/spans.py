"""Spans in memory, and how they relate."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

from event_trio.observability import spans
from event_trio.observability.opentelemetry_tracer import OpenTelemetryTracer


class Recorded:
    """The spans that ended, in this order."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> list[ReadableSpan]:
        """All spans."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of this name."""
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        [span] = self.named(name)
        return span


@contextmanager
def recording(*, continues: bool = True, sampler: Sampler | None = None) -> Iterator[Recorded]:
    """Keep the spans of this process in memory during the block."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler or ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.install(OpenTelemetryTracer(provider, continues=continues))
    try:
        yield Recorded(exporter)
    finally:
        spans.install(None)
        provider.shutdown()


def traceparent(span: ReadableSpan) -> str:
    """The traceparent of a span."""
    context = span.context
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def is_child(span: ReadableSpan, of: ReadableSpan) -> bool:
    """Whether the second is the parent of the first."""
    return (
        span.parent is not None
        and span.context is not None
        and of.context is not None
        and (span.parent.span_id, span.context.trace_id) == (of.context.span_id, of.context.trace_id)
    )
