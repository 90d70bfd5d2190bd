"""Envelopes as a publisher would record them."""

from datetime import UTC, datetime
from typing import Any

from event_trio.contracts.payload import EventPayload
from event_trio.envelope import Envelope, sequence_text, uuid7


def envelope_of(payload: EventPayload, *, subject: str = "subject-1", sequence: int = 1, **fields: Any) -> Envelope:
    """An envelope around a payload; `fields` replaces what is filled in here."""
    filled = {
        "id": uuid7(),
        "source": "/services/test",
        "type": payload.type,
        "subject": subject,
        "time": datetime.now(UTC),
        "dataschema": f"https://schemas.example.com/{payload.type}/{payload.version}",
        "partitionkey": subject,
        "sequence": sequence_text(sequence),
        "correlationid": f"correlation-{subject}",
        "data": payload.model_dump(mode="json"),
    }
    return Envelope(**{**filled, **fields})
