"""Draws the flow of events as SVG: publisher, topic, queues and consumer, a band for each topic."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from event_trio.catalog.flow import Flow, FlowQueue, FlowService

WIDTH = 1215
# Left edge and width of each column: service, topic, queue, consumer.
COLUMNS = ((20, 170), (250, 240), (540, 385), (985, 210))
ROW, BOX, GAP, HEADER = 96, 72, 30, 50
STYLE = """
    .paper { fill: #ffffff; } .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.5; }
    .aws { fill: #fff4e0; stroke: #b35900; stroke-width: 1.5; }
    .check { fill: #fff4e0; stroke: #1a7f37; stroke-width: 1.5; stroke-dasharray: 6 4; }
    .line { fill: none; stroke: #57606a; stroke-width: 1.75; marker-end: url(#head); } .head { fill: #57606a; }
    text { fill: #1f2328; } .small { font-size: 11px; fill: #57606a; } .strong { font-weight: 600; }
    .name { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; font-size: 11px; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117; } .box { fill: #161b22; stroke: #9198a1; } .aws { fill: #2d1f0b; stroke: #e0a458; }
      .check { fill: #2d1f0b; stroke: #56d364; } .line { stroke: #9198a1; } .head { fill: #9198a1; }
      text { fill: #e6edf3; } .small { fill: #b1bac4; }
    }
"""


def render(flow: Flow) -> str:
    """The drawing; it has its own colours for dark pages."""
    bands = [(service, [queue for queue in flow.queues if queue.topic == service.topic]) for service in flow.services]
    bands = [(service, queues) for service, queues in bands if service.topic is not None]
    height = HEADER + sum(_height(queues) + GAP for _, queues in bands)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title description" font-family="ui-sans-serif, system-ui, \'DejaVu Sans\','
        ' sans-serif" font-size="14">',
        '  <title id="title">The flow of events</title>',
        f'  <desc id="description">{escape(" ".join(_sentences(flow)))}</desc>',
        f"  <style>{STYLE}  </style>",
        '  <defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto"><path class="head" d="M0 1 L10 5 L0 9 z"/></marker></defs>',
        f'  <rect class="paper" width="{WIDTH}" height="{height}"/>',
        *(_text(COLUMNS[number], 28, title, "strong") for number, title in enumerate(_titles())),
    ]
    top = HEADER
    for service, queues in bands:
        lines += _band(service, queues, top)
        top += _height(queues) + GAP
    return "\n".join([*lines, "</svg>"]) + "\n"


def _titles() -> tuple[str, ...]:
    return ("Publisher", "SNS topic", "SQS queue", "Consumer")


def _height(queues: list[FlowQueue]) -> int:
    return max(1, len(queues)) * ROW


def _band(service: FlowService, queues: list[FlowQueue], top: int) -> Iterator[str]:
    middle = top + _height(queues) // 2
    yield from _box(COLUMNS[0], middle, "box", [(service.name, "strong"), ("outbox, relay", "small")])
    yield _arrow(_right(0), middle, COLUMNS[1][0], middle)
    yield from _box(COLUMNS[1], middle, "aws", [(service.topic or "", "name")])
    for number, queue in enumerate(queues):
        row = top + number * ROW + ROW // 2
        yield _arrow(_right(1), middle, COLUMNS[2][0], row)
        yield from _box(COLUMNS[2], row, "aws" if queue.handlers else "check", _queue_lines(queue))
        yield _arrow(_right(2), row, COLUMNS[3][0], row)
        yield from _box(COLUMNS[3], row, "box", _consumer_lines(queue))


def _queue_lines(queue: FlowQueue) -> list[tuple[str, str]]:
    if not queue.handlers:
        return [(queue.name, "name"), ("publish check, no filter", "small")]
    filtered = "no filter" if queue.filtered_types is None else f"filter: {_types(len(queue.filtered_types))}"
    received = f"-dlq after {queue.max_receive_count} receives" if queue.dead_letter_queue else "no dead-letter queue"
    undelivered = ", -undelivered" if queue.undelivered_queue else ""
    return [(queue.name, "name"), (filtered, "small"), (f"{received}{undelivered}", "small")]


def _consumer_lines(queue: FlowQueue) -> list[tuple[str, str]]:
    handled = f"handles {_types(len(queue.handlers))}" if queue.handlers else "confirms what it sent"
    return [(queue.process, "strong"), (handled, "small")]


def _types(count: int) -> str:
    return f"{count} event type{'' if count == 1 else 's'}"


def _right(column: int) -> int:
    left, width = COLUMNS[column]
    return left + width


def _box(column: tuple[int, int], middle: int, kind: str, texts: list[tuple[str, str]]) -> Iterator[str]:
    left, width = column
    yield f'  <rect class="{kind}" x="{left}" y="{middle - BOX // 2}" width="{width}" height="{BOX}" rx="8"/>'
    first = middle + 5 - 9 * (len(texts) - 1)
    for number, (text, style) in enumerate(texts):
        yield _text((left + 12, width), first + 18 * number, text, style)


def _text(column: tuple[int, int], y: int, text: str, style: str) -> str:
    return f'  <text class="{style}" x="{column[0]}" y="{y}">{escape(text)}</text>'


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    bend = (x1 + x2) // 2
    return f'  <path class="line" d="M{x1} {y1} C{bend} {y1} {bend} {y2} {x2 - 2} {y2}"/>'


def _sentences(flow: Flow) -> Iterator[str]:
    """The drawing in words."""
    for service in flow.services:
        if service.topic is not None:
            yield f"The {service.name} service publishes on the topic {service.topic}."
    for queue in flow.queues:
        yield f"The queue {queue.name} receives from the topic {queue.topic}, and {queue.process} reads it."
