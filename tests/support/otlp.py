"""A receiver of OTLP over HTTP, which keeps the spans that services export."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

from tools.embedded.ports import LOOPBACK


@dataclass(frozen=True)
class ExportedSpan:
    """A span as it was exported."""

    service: str
    name: str
    kind: str
    """`SERVER`, `CLIENT`, `PRODUCER` or `CONSUMER`."""
    trace_id: str
    span_id: str
    parent_id: str | None
    links: tuple[str, ...]
    """The ids of the linked spans."""
    attributes: dict[str, Any]
    failed: bool


@dataclass
class OtlpReceiver:
    """The spans received so far."""

    url: str = ""
    spans: list[ExportedSpan] = field(default_factory=list)
    text: str = ""
    """Everything that was received, as JSON."""

    def of_trace(self, trace_id: str) -> list[ExportedSpan]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def accept(self, body: bytes) -> None:
        """Keep what a request contains."""
        request = ExportTraceServiceRequest.FromString(body)
        self.text += MessageToJson(request)
        for resource in request.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_span(named["service.name"], span) for span in scope.spans]


def _span(service: str, span: ProtoSpan) -> ExportedSpan:
    return ExportedSpan(
        service,
        span.name,
        ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex() or None,
        tuple(link.span_id.hex() for link in span.links),
        {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in span.attributes},
        span.status.code == 2,
    )


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Listen on any free port of the loopback."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.accept(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        receiver.url = f"http://{LOOPBACK}:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
