"""The flow of events is merged from the documents of the services alone, and drawn as SVG."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict

from event_trio.broker.names import BrokerNames
from event_trio.catalog.flow import FlowQueue, merge
from event_trio.contracts.orders import ORDER_EVENTS
from infra import manifest
from infra.manifest import TemplateKind
from tests.support.asyncapi_documents import document
from tests.support.sources import ROOT
from tools.catalog.drawing import render
from tools.declared_services import load

DOCUMENTS = [document(service.name) for service in load()]
FLOW = merge(DOCUMENTS)


def queue(name: str) -> FlowQueue:
    (found,) = [queue for queue in FLOW.queues if queue.name == name]
    return found


def test_it_contains_every_topic_and_queue_of_the_templates() -> None:
    templates = manifest.load()
    names = BrokerNames()
    topics = {names.topic(template.topic) for template in templates if template.kind is TemplateKind.TOPIC}
    assert {service.topic for service in FLOW.services if service.topic} == topics
    queues = {f"{template.name}.fifo" for template in templates if template.kind is not TemplateKind.TOPIC}
    assert {queue.name for queue in FLOW.queues} == queues


def test_a_queue_has_its_filter_its_dead_letter_queues_and_its_handlers() -> None:
    found = queue("notification-order-events.fifo")
    assert (found.topic, found.process, found.raw_delivery) == ("order-events.fifo", "notification", True)
    types = ("order.placed", "order.confirmed", "order.shipped", "order.delivered", "order.cancelled")
    assert found.filtered_types == types
    assert [handler.event for handler in found.handlers] == [f"{type}.1" for type in types]
    assert found.handlers[0].failure_policy.endswith("then publish_failure")
    assert found.dead_letter_queue == "notification-order-events-dlq.fifo"
    assert (found.max_receive_count, found.undelivered_queue) == (20, "notification-order-events-undelivered.fifo")
    check = queue("order-events-publish-check.fifo")
    assert (check.process, check.filtered_types, check.handlers) == ("order-relay", None, ())


def test_events_have_their_publisher_and_their_personal_fields() -> None:
    events = {event.name: event for event in FLOW.events}
    assert [name for name in events if name.startswith("order.")] == [
        f"{event.type}.{event.version}" for event in ORDER_EVENTS
    ]
    placed = events["order.placed.1"]
    assert (placed.owner, placed.topic, placed.payload_mode) == ("order", "order-events.fifo", "data-or-dataref")
    assert placed.personal_fields == ("recipient",)
    assert events["order.confirmed.1"].personal_fields == ()


def test_a_document_whose_publisher_is_unknown_can_be_merged() -> None:
    (found,) = [found for found in DOCUMENTS if found["info"]["x-service"] == "notification"]
    alone = merge([found])
    assert {event.topic for event in alone.events if event.owner == "order"} == {None}
    assert [queue.topic for queue in alone.queues] == ["notification-events.fifo", "order-events.fifo"]


def test_its_json_form_is_committed() -> None:
    committed = json.loads((ROOT / "docs/reference/catalog.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(asdict(FLOW)))


def test_the_drawing_names_everything() -> None:
    drawing = ElementTree.fromstring(render(FLOW))
    texts = {element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {queue.name for queue in FLOW.queues} | {queue.process for queue in FLOW.queues} <= texts
    assert {service.topic for service in FLOW.services if service.topic} <= texts
