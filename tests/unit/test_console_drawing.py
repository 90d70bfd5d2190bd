"""The drawing of the flow stays readable with any number of publishers and subscribers."""

import re

import pytest

from event_trio.catalog.flow import Flow, FlowHandler, FlowQueue, FlowService
from services.console.views.flow_drawing import FlowDrawing, draw
from services.console.views.flow_state import ElementState, StateLine

LABEL_WIDTH, LABEL_HEIGHT = 50, 36
"""The room that a rate and the line below it need."""
HANDLER = FlowHandler("placed", "dead_letter", 30.0, "handle")


class States:
    """Every part works, except the queues of some consumers."""

    def __init__(self, *stuck: str) -> None:
        self._stuck = stuck

    def __getattr__(self, name: str) -> object:
        return self._state

    def _state(self, subject: object) -> ElementState:
        consumer = subject.process if isinstance(subject, FlowQueue) else subject
        return ElementState(
            "bad" if consumer in self._stuck else "ok", (StateLine("flow.types", {"count": 5}),), rate=9.5
        )


def drawing(*subscribers: int, stuck: tuple[str, ...] = ()) -> FlowDrawing:
    """The drawing of as many publishers, each with so many subscribers."""
    services, queues = [], []
    for number, count in enumerate(subscribers):
        topic = f"topic-{number}.fifo"
        services.append(FlowService(f"service-{number}", "t", "d", topic))
        for each in range(count):
            name = f"consumer-{number}-{each}"
            queues.append(FlowQueue(f"{name}.fifo", topic, name, None, True, 60, None, None, None, (HANDLER,)))
    return draw(Flow(tuple(services), (), tuple(queues)), States(*stuck))  # type: ignore[arg-type]


@pytest.mark.parametrize("subscribers", [(1,), (2, 0), (3, 1), (5, 2), (5, 5)])
def test_labels_of_edges_overlap_neither_each_other_nor_other_edges(subscribers: tuple[int, ...]) -> None:
    found = drawing(*subscribers)
    places = [(edge.x, edge.y) for edge in found.edges]
    assert len(places) == len(set(places)) == 2 * len(subscribers) + 2 * sum(subscribers)
    for edge in found.edges:
        for x, y in places:
            near = abs(x - edge.x) < LABEL_WIDTH and abs(y - edge.y) < LABEL_HEIGHT
            assert not near or (x, y) == (edge.x, edge.y)
            for vertical in re.findall(r"Q([\d.]+) [\d.]+ \1", edge.path):
                assert abs(float(vertical) - x) >= LABEL_WIDTH / 2
    boxes = [(node.x, node.y) for node in found.nodes]
    assert len(boxes) == len(set(boxes))
    assert max(y for _, y in boxes) < found.height
    assert all(edge.head_x < found.width for edge in found.edges)


def test_an_edge_that_is_stuck_is_drawn_over_those_that_share_a_part_of_it() -> None:
    found = drawing(3, stuck=("consumer-0-1",))
    assert [edge.state.level for edge in found.edges][-2:] == ["bad", "bad"]
