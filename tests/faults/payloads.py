"""Hashes the payload of an event, so that a change on the way shows."""

import hashlib
import json
from typing import Any


def payload_hash(data: Any) -> str:
    """The hash of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def facts_of(envelope: dict[str, Any]) -> dict[str, Any]:
    """What the histories record of an event in its envelope."""
    return {
        "group": envelope["subject"],
        "sequence": int(envelope["sequence"]),
        "event": envelope["id"],
        "hash": payload_hash(envelope.get("data")),
        "key": envelope["correlationid"],
    }
