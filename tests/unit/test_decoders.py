"""Decoders read the key, group, sequence, type and payload of our envelopes and of other messages."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from event_trio.broker.queue import Message
from event_trio.consumer.decoders import Decoder, JsonDecoder, cloud_events, decode
from event_trio.consumer.delivery import QueueDelivery
from event_trio.consumer.errors import MalformedMessage
from event_trio.consumer.event import Event, NoEnvelope
from event_trio.errors import EventTrioError, MalformedEnvelope
from event_trio.inbox.delivery import DecodedMessage
from tests.support.consuming import Counted
from tests.support.events import envelope_of

ORDER = {"type": "order.created", "orderId": "o-1", "revision": 7, "at": "2026-01-02T03:04:05Z", "total": "9.90"}


def decoded(decoder: Decoder, document: object, attributes: Mapping[str, str] | None = None) -> DecodedMessage:
    return decoder(json.dumps(document).encode(), attributes or {}, message_id="m-1")


def delivery(body: str, group: str = "g") -> QueueDelivery:
    return QueueDelivery.of(Message("m-1", "receipt", body, group, "", "1", 1, datetime.now(UTC)), "tested")


def test_our_envelope_is_the_default() -> None:
    event = envelope_of(Counted(number=3), sequence=5)
    found = cloud_events(event.to_bytes(), {}, message_id="m-1")
    assert (found.id, found.group, found.sequence) == (str(event.id), event.partitionkey, 5)
    assert (found.type, found.version, found.data, found.envelope) == (event.type, 1, {"number": 3}, event)


def test_plain_json_has_the_id_of_sqs_and_no_sequence_by_default() -> None:
    found = decoded(JsonDecoder(), ORDER)
    assert (found.id, found.type, found.sequence, found.time) == ("m-1", "order.created", None, None)
    assert (found.data, found.version) == (ORDER, 1)


def test_names_are_those_of_fields_or_attributes_and_attributes_come_first() -> None:
    decoder = JsonDecoder(type="kind", id="key", subject="orderId", sequence="revision", time="at", source="shop")
    found = decoded(decoder, ORDER, {"kind": "created", "key": "k-1", "orderId": "o-2"})
    assert (found.type, found.id, found.subject, found.sequence, found.source) == ("created", "k-1", "o-2", 7, "shop")
    assert found.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_payload_may_be_a_field() -> None:
    found = decoded(JsonDecoder(payload="order"), {"type": "t", "order": {"total": 1}})
    assert found.data == {"total": 1}


def test_a_notification_of_sns_is_unwrapped() -> None:
    wrapped = {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": "arn:aws:sns:eu-central-1:000000000000:orders",
        "Message": json.dumps({"total": 1}),
        "MessageAttributes": {"type": {"Type": "String", "Value": "order.created"}},
    }
    found = decoded(JsonDecoder(), wrapped)
    assert (found.id, found.type, found.data) == ("sns-1", "order.created", {"total": 1})


@pytest.mark.parametrize(
    ("decoder", "document"),
    [
        (JsonDecoder(), ["no", "object"]),
        (JsonDecoder(), {"total": 1}),
        (JsonDecoder(id="key"), {"type": "t"}),
        (JsonDecoder(id="key"), {"type": "t", "key": ""}),
        (JsonDecoder(sequence="n"), {"type": "t", "n": "seven"}),
        (JsonDecoder(sequence="n"), {"type": "t", "n": 1.5}),
        (JsonDecoder(time="at"), {"type": "t", "at": "yesterday"}),
        (JsonDecoder(payload="order"), {"type": "t", "order": "none"}),
    ],
)
def test_a_message_without_what_was_named_is_malformed(decoder: Decoder, document: object) -> None:
    with pytest.raises(MalformedMessage):
        decoded(decoder, document)


def test_a_notification_without_an_id_has_that_of_sqs() -> None:
    wrapped = {"Type": "Notification", "TopicArn": "arn", "MessageId": None, "Message": json.dumps({"type": "t"})}
    assert decoded(JsonDecoder(), wrapped).id == "m-1"


def test_version_0_is_not_version_1() -> None:
    assert decoded(JsonDecoder(version="v"), {"type": "t", "v": 0}).version == 0


def test_a_number_with_too_many_digits_is_named() -> None:
    with pytest.raises(MalformedMessage, match="a number with too many digits"):
        decode(JsonDecoder(), delivery('{"type": "t", "n": ' + "9" * 5000 + "}"))


@pytest.mark.parametrize("body", ["{", "\ud800", "[" * 100_000, "null"])
def test_a_body_that_is_no_json_object_is_malformed(body: str) -> None:
    with pytest.raises(MalformedMessage):
        decode(JsonDecoder(), delivery(body))
    with pytest.raises(MalformedEnvelope):
        decode(cloud_events, delivery(body))


def test_whatever_a_decoder_raises_is_an_error_of_the_message() -> None:
    def fails(body: bytes, attributes: Mapping[str, str], *, message_id: str) -> DecodedMessage:
        raise KeyError("secret")

    with pytest.raises(EventTrioError, match="KeyError") as caught:
        decode(fails, delivery("{}"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "event",
    [
        DecodedMessage(id=""),
        DecodedMessage(id="a\x00"),
        DecodedMessage(id="a", type="t\x00"),
        DecodedMessage(id="a\ud800"),
        DecodedMessage(id="a", type="t\ud800"),
        DecodedMessage(id="a", group="\ud800"),
        DecodedMessage(id="a", subject="\ud800"),
        DecodedMessage(id="a", source="\ud800"),
        DecodedMessage(id="a" * 9600),
        DecodedMessage(id="a", group="한" * 1000),
        DecodedMessage(id="a", sequence=2**63),
        DecodedMessage(id="a", sequence=-1),
        DecodedMessage(id="a", time=datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_the_inbox_cannot_store_is_malformed(event: DecodedMessage) -> None:
    with pytest.raises(MalformedMessage):
        decode(lambda body, attributes, *, message_id: event, delivery("{}"))


@pytest.mark.parametrize(("queue", "named", "group"), [("g", "d", "g"), ("", "d", "d"), ("", None, "m-1")])
def test_the_group_is_the_queues_or_the_decoders_or_the_messages_own(queue: str, named: str | None, group: str) -> None:
    received = delivery("{}", group=queue)
    received.accept(DecodedMessage(id="a", group=named))
    assert (received.group, received.event.group) == (group, group)


def test_an_event_without_an_envelope_says_so() -> None:
    event = Event(Counted(), DecodedMessage(id="a", type="test.counted"), stale=False, attempt=1)
    assert (event.id, event.type, event.sequence) == ("a", "test.counted", None)
    with pytest.raises(NoEnvelope):
        _ = event.envelope
