"""Turns rows of the outbox into events, and finds the rows that the broker would not accept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from event_trio.errors import EventRejected
from event_trio.outbox.limits import GROUP, check, size

from .pending_event import PendingEvent

# ASCII without the characters that `limits.FORBIDDEN` forbids. What is left of a body without these has to be examined.
PLAIN = b"\t\n\r" + bytes(range(0x20, 0x80))
# Attributes name the type of an event and little more, so the same few texts come again and again.
KNOWN_TEXTS = 1000
LONGEST_KNOWN_TEXT = 2048


@dataclass(frozen=True, slots=True)
class _Attributes:
    values: dict[str, str]
    size: int


class EventRows:
    """Parses rows; valid attributes are parsed once for each text."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes` is the largest event that the topic accepts."""
        self._most_bytes = most_bytes
        self._known: dict[str, _Attributes] = {}
        self._group: str | None = None

    def parse(self, row: Mapping[str, Any]) -> PendingEvent:
        """Return the row as an event; a malformed row becomes an event with a fault, without affecting others."""
        text: str = row["attributes"]
        subject: str = row["subject"]
        body: bytes | None = row["envelope"]
        attributes = self._known.get(text)
        if attributes is None or not body or (subject != self._group and not GROUP.fullmatch(subject)):
            return self._examine(row)
        self._group = subject
        bytes_ = len(body) + attributes.size
        if bytes_ > self._most_bytes or not body.isascii() or body.translate(None, PLAIN):
            return self._examine(row)
        return PendingEvent(
            row["id"],
            str(row["event_id"]),
            subject,
            row["lane"],
            body,
            attributes.values,
            bytes_,
            row["republished"],
            None,
            row["sequence"],
        )

    def _examine(self, row: Mapping[str, Any]) -> PendingEvent:
        attributes: dict[str, str] = {}
        body: bytes = row["envelope"] or b""
        fault: str | None = None
        try:
            if row["bytes"] > self._most_bytes:
                raise EventRejected(
                    f"the event is {row['bytes']} bytes; the topic takes {self._most_bytes} (MESSAGE_BYTES)"
                )
            read = json.loads(row["attributes"])
            check(body, group=row["subject"], attributes=read, most=self._most_bytes)
            attributes = read
            self._remember(row["attributes"], attributes)
        except EventRejected as error:
            fault = str(error)
        except (ValueError, RecursionError) as error:
            # JSON that Postgres accepts and Python does not, such as a number of ten thousand digits, or deep nesting.
            fault = f"the attributes cannot be read: {error}"
        return PendingEvent(
            id=row["id"],
            event_id=str(row["event_id"]),
            subject=row["subject"],
            lane=row["lane"],
            body=b"" if fault else body,
            attributes=attributes,
            size=0 if fault else size(body, attributes),
            republished=row["republished"],
            fault=fault,
            sequence=row["sequence"],
        )

    def _remember(self, text: str, attributes: dict[str, str]) -> None:
        if len(text) > LONGEST_KNOWN_TEXT:
            return
        if len(self._known) >= KNOWN_TEXTS:
            self._known.clear()
        self._known[text] = _Attributes(attributes, size(b"", attributes))
