"""Masks personal data in envelopes that are shown to operators."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ..contracts.payload import PERSONAL, EventPayload
from ..envelope import Envelope

MASK = "•••"
EVERYTHING = "*"
"""Stands for all fields, where it is not known which field contains what."""
PersonalFields: TypeAlias = Mapping[str, frozenset[str]]
"""The fields with personal data by the type of an event, over all its versions."""


def personal_fields(events: Iterable[type[EventPayload]]) -> PersonalFields:
    """The fields that the payloads of a service declare as personal data."""
    found: dict[str, frozenset[str]] = {}
    for event in events:
        extras = {name: field.json_schema_extra for name, field in event.model_fields.items()}
        names = {name for name, extra in extras.items() if isinstance(extra, dict) and extra.get(PERSONAL)}
        found[event.type] = found.get(event.type, frozenset()) | names
    return found


def masked_envelope(envelope: Mapping[str, Any], personal: PersonalFields) -> tuple[dict[str, Any], list[str]]:
    """The envelope with masked values, and the fields of `data` that are masked: of an unknown type, all."""
    data = envelope.get("data")
    if not isinstance(data, dict):
        return dict(envelope), []
    known = personal.get(str(envelope.get("type")))
    masked = sorted(name for name in data if known is None or name in known)
    return {**envelope, "data": {name: MASK if name in masked else value for name, value in data.items()}}, masked


def masked_message(body: str, personal: PersonalFields) -> tuple[str, list[str]]:
    """The body of a message with masked values, and the masked fields of `data`.

    What is no event of the expected form may contain personal data anywhere: all of it is masked.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() <= Envelope.model_fields.keys() or "type" not in found:
        return MASK, [EVERYTHING]
    if not isinstance(found.get("data"), dict | None):
        return MASK, [EVERYTHING]
    envelope, masked = masked_envelope(found, personal)
    return (json.dumps(envelope, ensure_ascii=False), masked) if masked else (body, [])
