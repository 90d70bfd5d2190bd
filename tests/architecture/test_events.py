"""Every event declares what the catalog shows of it, and no change breaks a published one."""

import pytest

from event_trio.catalog.handling import message_name
from event_trio.contracts.payload import PERSONAL, EventPayload
from event_trio.contracts.schema import json_schema
from tools.catalog import released
from tools.catalog.check import message
from tools.catalog.compatibility import broken_envelope, broken_events
from tools.catalog.contracts import declared_events
from tools.catalog.discovery import published_events

EVENTS = declared_events()
each = pytest.mark.parametrize("event", EVENTS, ids=message_name)


def test_no_change_breaks_a_published_event() -> None:
    broken = [*broken_envelope(released.load_envelope()), *broken_events(released.load(), EVENTS)]
    assert "\n".join(map(message, broken)) == ""


def test_every_event_is_published_by_its_owner() -> None:
    assert {event.__name__ for event in published_events()} == {event.__name__ for event in EVENTS}


@each
def test_an_event_describes_itself_and_its_fields(event: type[EventPayload]) -> None:
    assert "__doc__" in vars(event)
    assert event.__doc__
    schema = json_schema(event)
    objects = [schema, *schema.get("$defs", {}).values()]
    fields = [(name, field) for each in objects for name, field in each["properties"].items()]
    assert [name for name, field in fields if not field.get("description")] == []


@each
def test_the_example_is_a_payload(event: type[EventPayload]) -> None:
    (example,) = json_schema(event)["examples"]
    assert event.model_validate(example).model_dump(mode="json") == example


def test_recipients_are_marked_as_personal_data() -> None:
    marked = {
        (event.type, name)
        for event in EVENTS
        for name, field in json_schema(event)["properties"].items()
        if field.get(PERSONAL)
    }
    assert marked == {("order.placed", "recipient")}
