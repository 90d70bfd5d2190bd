"""Places services, outboxes, topics, queues and subscribers in columns, and joins them by edges."""

from __future__ import annotations

from dataclasses import dataclass, field

from event_trio.catalog.flow import Flow, FlowQueue, FlowService

from .flow_state import ElementState, FlowStates

WIDTH, HEIGHT = 188, 76
COLUMN, ROW = 268, 100
MARGIN = 8
LONGEST_TITLE = 27
LEVELS = ("unknown", "ok", "warn", "bad")
HEAD = 7
FORK = 14
"""Where edges from one box to several turn: to the right of it only the horizontal parts are, each with its label."""
CORNER = 10
SERVICE, OUTBOX, TOPIC, QUEUE, SUBSCRIBER = range(5)


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A box: its kind is the class of its style and the text `flow.<kind>`."""

    kind: str
    title: str
    x: float
    y: float
    state: ElementState

    @property
    def short_title(self) -> str:
        """As much of the title as the box is wide for: the end, by which names with one prefix differ."""
        return self.title if len(self.title) <= LONGEST_TITLE else f"…{self.title[1 - LONGEST_TITLE :]}"


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """An edge between two boxes: the path of an SVG, where its head is, and where the middle of its label is."""

    path: str
    head_x: float
    x: float
    y: float
    state: ElementState
    source: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class FlowDrawing:
    """The drawing, and its size."""

    width: int
    height: int
    nodes: tuple[FlowNode, ...] = ()
    edges: tuple[FlowEdge, ...] = ()


@dataclass(slots=True)
class _PlacedFlow:
    nodes: list[FlowNode] = field(default_factory=list)
    edges: list[FlowEdge] = field(default_factory=list)

    def node(self, kind: str, title: str, column: int, row: float, state: ElementState) -> FlowNode:
        placed = FlowNode(kind, title, MARGIN + column * COLUMN, MARGIN + row * ROW, state)
        self.nodes.append(placed)
        return placed

    def edge(self, start: FlowNode, end: FlowNode, state: ElementState, *, forks: bool = False) -> None:
        self.edges.append(_edge(start, end, state, forks))


def draw(flow: Flow, states: FlowStates) -> FlowDrawing:
    """The drawing of a flow: a row for each queue, and each topic in the middle of its queues."""
    placed, row = _PlacedFlow(), 0.0
    for service in flow.services:
        if service.topic is None:
            continue
        queues = [queue for queue in flow.queues if queue.topic == service.topic and queue.handlers]
        height = max(1, len(queues))
        topic = _publisher(placed, service, row + (height - 1) / 2, states)
        for number, queue in enumerate(queues):
            _subscriber(placed, topic, queue, row + number, states, forks=len(queues) > 1)
        row += height
    width = MARGIN * 2 + COLUMN * SUBSCRIBER + WIDTH
    return FlowDrawing(
        width,
        round(MARGIN * 2 + max(1.0, row) * ROW - (ROW - HEIGHT)),
        tuple(placed.nodes),
        # Where edges share a part, that of the one that is stuck is seen.
        tuple(sorted(placed.edges, key=lambda edge: LEVELS.index(edge.state.level))),
    )


def _publisher(placed: _PlacedFlow, service: FlowService, row: float, states: FlowStates) -> FlowNode:
    owner = placed.node("service", service.name, SERVICE, row, states.service(service.name))
    outbox = placed.node("outbox", service.name, OUTBOX, row, states.outbox(service.name))
    topic = placed.node("topic", _short(service.topic or ""), TOPIC, row, states.topic(service.name))
    placed.edge(owner, outbox, ElementState(outbox.state.level if outbox.state.level == "unknown" else "ok"))
    placed.edge(outbox, topic, states.sending(service.name))
    return topic


def _subscriber(
    placed: _PlacedFlow, topic: FlowNode, queue: FlowQueue, row: float, states: FlowStates, *, forks: bool
) -> None:
    node = placed.node("queue", _short(queue.name), QUEUE, row, states.queue(queue.process))
    subscriber = placed.node("subscriber", queue.process, SUBSCRIBER, row, states.subscriber(queue.process))
    placed.edge(topic, node, states.subscription(queue), forks=forks)
    placed.edge(node, subscriber, states.handling(queue.process))


def _edge(start: FlowNode, end: FlowNode, state: ElementState, forks: bool) -> FlowEdge:
    x1, y1 = start.x + WIDTH, start.y + HEIGHT / 2
    x2, y2 = end.x, end.y + HEIGHT / 2
    turn = x1 + FORK
    path = f"M{x1:g} {y1:g}"
    if y1 != y2:
        bend = CORNER if y2 > y1 else -CORNER
        path += f"H{turn - CORNER:g}Q{turn:g} {y1:g} {turn:g} {y1 + bend:g}V{y2 - bend:g}"
        path += f"Q{turn:g} {y2:g} {turn + CORNER:g} {y2:g}"
    path += f"H{x2 - HEAD:g}"
    return FlowEdge(path, x2 - HEAD, ((turn if forks else x1) + x2) / 2, y2, state, start.title, end.title)


def _short(name: str) -> str:
    """The name without the suffix that all topics and queues have."""
    return name.removesuffix(".fifo")
