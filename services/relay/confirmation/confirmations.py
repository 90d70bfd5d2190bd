"""Reads from a message of the publish check which event it confirms, and which sending of it."""

from __future__ import annotations

import re
from uuid import UUID

from event_trio.broker.source import Message
from event_trio.envelope import Envelope
from event_trio.errors import MalformedEnvelope

from ..publishing.outbox_updates import Confirmation

# A relay sends `<event id>`, and `<event id>.<n>` when it sends an event again. The column for n is an integer.
DEDUPLICATION_ID = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:\.([0-9]{1,9}))?")
# How `Envelope.to_bytes` begins; the event's id follows.
BEGINNING = '{"specversion":"1.0","id":"'


class ForeignMessage(ValueError):
    """The message is not an event that a relay sent."""


def confirmation(message: Message) -> Confirmation:
    """The confirmation that the message is; raises ForeignMessage.

    The deduplication id names the event and the sending, and the body must be the envelope of that event. A body that
    begins as an envelope of ours with this id is taken for it; any other is parsed and validated as a whole.
    """
    found = DEDUPLICATION_ID.fullmatch(message.deduplication_id)
    if found is None:
        raise ForeignMessage("its deduplication id is not that of a relay")
    event_id, sending = found.groups()
    if not message.body.startswith(f'{BEGINNING}{event_id}",'):
        try:
            carried = Envelope.parse(message.body).id
        except MalformedEnvelope as error:
            raise ForeignMessage(str(error)) from None
        if str(carried) != event_id:
            raise ForeignMessage("its deduplication id is not that of its event")
    return Confirmation(UUID(event_id), int(sending or 0))
