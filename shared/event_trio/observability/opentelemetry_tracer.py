"""Makes spans with the OpenTelemetry SDK and exports them over OTLP. The only module that imports OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from ..extras import requires
from .conventions import ERROR, SCHEMA_URL
from .spans import Attributes, Kind, Span
from .tracing import Traceparent

with requires("tracing"):
    from opentelemetry import context, trace
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

SCOPE = "event_trio"
SUPPRESS = "suppress_instrumentation"
"""The key that instrumentations of libraries look for in the context."""
CLOSE_SECONDS = 3.0
"""How long the end of the process may wait for the last spans."""

_KINDS = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.PRODUCER: SpanKind.PRODUCER,
    Kind.CONSUMER: SpanKind.CONSUMER,
}


class OpenTelemetrySpan:
    """A span of the SDK."""

    def __init__(self, span: trace.Span) -> None:
        self.span = span

    @property
    def traceparent(self) -> str:
        of = self.span.get_span_context()
        return f"00-{of.trace_id:032x}-{of.span_id:016x}-{of.trace_flags:02x}" if of.is_valid else ""

    def rename(self, name: str) -> None:
        self.span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        self.span.set_attributes(attributes)

    def fail(self, error: str) -> None:
        # Without a description: the text of an error may quote a row.
        self.span.set_status(StatusCode.ERROR)
        self.span.set_attribute(ERROR, error)

    def end(self, at: int | None = None) -> None:
        self.span.end(at)


class OpenTelemetryTracer:
    """Makes spans with a tracer provider. Sampling is the provider's; a parent that is not sampled stays so."""

    def __init__(self, provider: trace.TracerProvider, *, continues: bool = True) -> None:
        self.continues = continues
        self._provider = provider
        self._tracer = provider.get_tracer(SCOPE, schema_url=SCHEMA_URL)

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
        remote, linked = _span_context(parent), [_span_context(link) for link in links]
        span = self._tracer.start_span(
            name,
            # An empty context: otherwise the current span would be the parent.
            context=trace.set_span_in_context(NonRecordingSpan(remote), Context()) if remote else Context(),
            kind=_KINDS[kind],
            links=[Link(each) for each in linked if each is not None],
            attributes=attributes,
            start_time=at,
        )
        return OpenTelemetrySpan(span)

    def current(self) -> Span:
        return OpenTelemetrySpan(trace.get_current_span())

    def use(self, span: Span) -> AbstractContextManager[object]:
        if not isinstance(span, OpenTelemetrySpan):
            raise TypeError("the span of another tracer")
        return trace.use_span(span.span, record_exception=False, set_status_on_exception=False)

    @contextmanager
    def suppress(self) -> Iterator[None]:
        token = context.attach(context.set_value(SUPPRESS, True))
        try:
            yield
        finally:
            context.detach(token)

    def close(self) -> None:
        if isinstance(self._provider, TracerProvider):
            self._provider.force_flush(int(CLOSE_SECONDS * 1000))
            self._provider.shutdown()


def otlp_tracer(service: str, endpoint: str, *, continues: bool) -> OpenTelemetryTracer:
    """A tracer that exports to an OTLP receiver over HTTP.

    The SDK's own variables apply: OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_EXPORTER_OTLP_HEADERS and others.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=CLOSE_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetryTracer(provider, continues=continues)


def _span_context(traceparent: str | None) -> SpanContext | None:
    found = Traceparent.parse(traceparent)
    if found is None:
        return None
    return SpanContext(
        int(found.trace_id, 16), int(found.span_id, 16), is_remote=True, trace_flags=TraceFlags(found.flags)
    )
