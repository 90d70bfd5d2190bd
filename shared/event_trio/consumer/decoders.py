"""Decoders: how the key, group, sequence, type and payload of an event are read from a message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ..envelope import Envelope
from ..error_text import describe
from ..errors import EventTrioError
from ..inbox.delivery import DecodedMessage, Delivery
from .errors import MalformedMessage

LARGEST_SEQUENCE = 2**63 - 1
LONGEST_KEY_BYTES = 2048
"""The longest id or group in UTF-8. An index entry has at most 2704 bytes (PostgreSQL: "index row size exceeds btree
version 4 maximum"), with the name of the consumer. An event with a longer subject or source is deferred without it."""
KEYS = ("id", "group")


class Decoder(Protocol):
    """Reads a message. It must be deterministic: a deferred message is decoded again from the same bytes."""

    def __call__(self, body: bytes, attributes: Mapping[str, str], *, message_id: str) -> DecodedMessage:
        """Return what the message says; raise any exception if it cannot be read, and it becomes a dead letter.

        `attributes` are the SQS message attributes, `message_id` is SQS's id.
        """
        ...


def cloud_events(body: bytes, attributes: Mapping[str, str], *, message_id: str) -> DecodedMessage:
    """Decode the CloudEvents envelope of this library. This is the default decoder."""
    envelope = Envelope.parse(body)
    return DecodedMessage(
        id=str(envelope.id),
        group=envelope.partitionkey,
        type=envelope.type,
        version=envelope.major_version,
        source=envelope.source,
        subject=envelope.subject,
        sequence=envelope.sequence_number,
        time=envelope.time,
        correlation_id=envelope.correlationid,
        data=envelope.data,
        envelope=envelope,
    )


@dataclass(frozen=True, slots=True)
class JsonDecoder:
    """Decodes plain JSON objects. Each name is that of a message attribute or, failing that, of a field of the body.

    A notification of SNS without raw message delivery is unwrapped first. The key of the inbox is what `id` names;
    without it the id of the SNS notification, and without that SQS's message id. SQS's id changes when a message is
    moved to a dead-letter queue or sent again, so an event that is processed once more after that has a new key: name
    an `id` if the publisher sends one.
    """

    type: str = "type"
    default_type: str | None = None
    """The type of messages that name none; for a queue with one kind of message."""
    id: str | None = None
    group: str | None = None
    """Only needed for a standard queue: the messages of a FIFO queue have a group."""
    subject: str | None = None
    """What the event is about. Without it, its group."""
    sequence: str | None = None
    """A whole number that grows with each event of a subject. Without it no event is stale."""
    time: str | None = None
    """A moment in ISO 8601; without a time zone it is UTC."""
    version: str | None = None
    """The major version of the payload; 1 without it."""
    payload: str | None = None
    """The field that holds the payload. Without it the whole body is the payload."""
    source: str = ""

    def __call__(self, body: bytes, attributes: Mapping[str, str], *, message_id: str) -> DecodedMessage:
        """Decode a message; raises MalformedMessage."""
        document = _object(body)
        if _is_notification(document):
            message_id = _id_of(document) or message_id
            attributes = {**attributes, **_attributes_of(document)}
            document = _object(document["Message"].encode())
        found = _Fields(document, attributes)
        event_type = found.text(self.type) or self.default_type
        if event_type is None:
            raise MalformedMessage(f"the message names no type: there is no attribute or field {self.type!r}")
        group = found.text(self.group)
        return DecodedMessage(
            id=found.required(self.id) or message_id,
            group=group,
            type=event_type,
            version=1 if (version := found.number(self.version)) is None else version,
            source=self.source,
            subject=found.text(self.subject) or group,
            sequence=found.number(self.sequence),
            time=found.moment(self.time),
            data=document if self.payload is None else _payload(document, self.payload),
        )


def decode(decoder: Decoder, delivery: Delivery) -> DecodedMessage:
    """Decode a delivery, and check that the inbox can store what identifies the event.

    Raises EventTrioError, whatever the decoder raised.
    """
    try:
        event = decoder(delivery.body, delivery.attributes, message_id=delivery.message_id)
    except EventTrioError:
        raise
    except Exception as error:
        raise MalformedMessage(f"the decoder failed: {describe(error)}") from error
    for name in (*KEYS, "source", "subject", "type"):
        _ensure_storable(name, getattr(event, name))
    if not event.id:
        raise MalformedMessage("the id is empty")
    if event.sequence is not None and not 0 <= event.sequence <= LARGEST_SEQUENCE:
        raise MalformedMessage("the sequence is too large or negative")
    if event.time is not None and not 1 < event.time.year < 9999:
        raise MalformedMessage("the time cannot be expressed in UTC")
    return event


def _ensure_storable(name: str, text: str | None) -> None:
    if text is None:
        return
    if "\x00" in text:
        raise MalformedMessage(f"the character U+0000 is in the {name}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise MalformedMessage(f"the {name} has a character that UTF-8 cannot encode") from None
    if name in KEYS and size > LONGEST_KEY_BYTES:
        raise MalformedMessage(f"the {name} is longer than {LONGEST_KEY_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class _Fields:
    """The values of a message, by name: an attribute, or a field of the body. A message without a name has None."""

    document: Mapping[str, Any]
    attributes: Mapping[str, str]

    def text(self, name: str | None) -> str | None:
        if name is None:
            return None
        value = self.attributes.get(name, self.document.get(name))
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise MalformedMessage(f"{name!r} is neither a text nor a whole number")
        return str(value)

    def required(self, name: str | None) -> str | None:
        value = self.text(name)
        if name is not None and not value:
            raise MalformedMessage(f"there is no attribute or field {name!r}")
        return value

    def number(self, name: str | None) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not value.isascii() or not value.isdigit():
            raise MalformedMessage(f"{name!r} is not a whole number")
        return int(value)

    def moment(self, name: str | None) -> datetime | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise MalformedMessage(f"{name!r} is not a moment in ISO 8601") from None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage("the body is not JSON") from None
    except ValueError:
        # Python bounds the digits of a number (`sys.set_int_max_str_digits`).
        raise MalformedMessage("the body has a number with too many digits") from None
    if not isinstance(document, dict):
        raise MalformedMessage("the body is not a JSON object")
    return document


def _payload(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    if not isinstance(found, dict):
        raise MalformedMessage(f"the field {name!r} is not a JSON object")
    return found


def _is_notification(document: Mapping[str, Any]) -> bool:
    """Whether SNS wrapped the message (AWS: "Amazon SNS raw message delivery")."""
    return (
        document.get("Type") == "Notification" and "TopicArn" in document and isinstance(document.get("Message"), str)
    )


def _id_of(notification: Mapping[str, Any]) -> str | None:
    found = notification.get("MessageId")
    return found if isinstance(found, str) else None


def _attributes_of(notification: Mapping[str, Any]) -> dict[str, str]:
    found = notification.get("MessageAttributes")
    if not isinstance(found, dict):
        return {}
    return {name: str(value["Value"]) for name, value in found.items() if isinstance(value, dict) and "Value" in value}
