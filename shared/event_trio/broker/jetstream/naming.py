"""The names of subjects, durable consumers and headers of a topic."""

from __future__ import annotations

import re

GROUP_HEADER = "Event-Group"
ATTRIBUTE_HEADER = "Event-Attribute-"
DEDUPLICATION_HEADER = "Nats-Msg-Id"
UNTYPED = "untyped"
TOKENS = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def subject_of(topic: str, partition: int, type: str) -> str:
    """The subject of an event: its type is the last tokens. An unusual type has no filter of its own."""
    return f"{topic}.{partition}.{type if TOKENS.fullmatch(type) else UNTYPED}"


def durable_of(subscriber: str, partition: int) -> str:
    """The durable consumer of one partition of a subscriber."""
    return f"{subscriber}-{partition}"
