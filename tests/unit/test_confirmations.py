"""Which event a message of the publish check confirms: the one that deduplication id and body both name, or none."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trio.broker.queue import Message
from event_trio.envelope import Envelope
from services.relay.confirmation.confirmations import BEGINNING, ForeignMessage, confirmation
from services.relay.publishing.outbox_updates import Confirmation
from tests.support.events import envelope_of
from tests.support.outbox import SomethingHappened

EVENT = envelope_of(SomethingHappened(), subject="g-1", sequence=1)
OTHER = envelope_of(SomethingHappened(), subject="g-2", sequence=1)
ID = str(EVENT.id)


def message(deduplication_id: str, body: str) -> Message:
    return Message("m", "r", body, "g", deduplication_id, "", 1, datetime.now(UTC))


def text(envelope: Envelope) -> str:
    return envelope.to_bytes().decode()


@given(st.uuids(), st.integers(0, 10**9 - 1))
def test_an_event_of_a_relay_confirms_its_sending(event_id: UUID, sending: int) -> None:
    event = EVENT.model_copy(update={"id": event_id})
    sent = f"{event_id}.{sending}" if sending else str(event_id)
    assert confirmation(message(sent, text(event))) == Confirmation(event_id, sending)


def test_what_the_library_records_needs_no_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Envelope, "parse", None)
    assert text(EVENT).startswith(f'{BEGINNING}{ID}",')
    assert confirmation(message(ID, text(EVENT))).event_id == EVENT.id


@pytest.mark.parametrize("indent", [None, 2])
def test_what_another_writer_recorded_is_parsed(indent: int | None) -> None:
    members = dict(reversed(json.loads(text(EVENT)).items()))
    assert confirmation(message(ID, json.dumps(members, indent=indent))) == Confirmation(EVENT.id, 0)


FOREIGN = [
    (ID, text(OTHER)),
    (ID, text(OTHER.model_copy(update={"data": {"id": ID}}))),
    (ID, text(OTHER.model_copy(update={"causationid": ID}))),
    (ID, f'{{"id":"{ID}"}}'),
    (ID, f"{BEGINNING}{ID}"),
    (ID, f"{BEGINNING}{ID} "),
    (ID, ID),
    (ID, ""),
    (ID.upper(), text(EVENT)),
    (f"{ID}\n", text(EVENT)),
    (f" {ID}", text(EVENT)),
    (f"{{{ID}}}", text(EVENT)),
    (ID.replace("-", ""), text(EVENT)),
    (f"{ID}.", text(EVENT)),
    (f"{ID}.1.2", text(EVENT)),
    (f"{ID}.+1", text(EVENT)),
    (f"{ID}.٣", text(EVENT)),
    (f"{ID}.9999999999", text(EVENT)),
    ("", text(EVENT)),
]
"""A deduplication id and a body, of which one is not what the topic delivers for the event."""


# The cases have an id that is new in each process, and workers of pytest-xdist must name them alike.
@pytest.mark.parametrize(("deduplication_id", "body"), FOREIGN, ids=range(len(FOREIGN)))
def test_any_other_message_confirms_nothing(deduplication_id: str, body: str) -> None:
    with pytest.raises(ForeignMessage):
        confirmation(message(deduplication_id, body))


def test_the_reason_names_no_values() -> None:
    with pytest.raises(ForeignMessage) as raised:
        confirmation(message(ID, '{"id": "ada@example.com"}'))
    assert "ada" not in str(raised.value)
