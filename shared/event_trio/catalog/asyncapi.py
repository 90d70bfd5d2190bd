"""The AsyncAPI document of a running service: the generated one, with the names and policies that are in force."""

from __future__ import annotations

import json
from typing import Any

from ..broker.names import FIFO
from .handling import handling
from .keywords import HANDLING
from .messaging import Messaging

# The keys of channels, and of the objects in bindings, whose value is the name of a topic or queue.
NAMES = frozenset({"address", "name"})


def served_document(messaging: Messaging, *, prefix: str) -> dict[str, Any]:
    """The document of this process. Raises OSError if it was not generated.

    Topics and queues have the prefix of the topology, and handlers the policies of FAILURE_POLICIES.
    """
    document: dict[str, Any] = json.loads(messaging.document.read_text(encoding="utf-8"))
    for part in ("channels", "operations"):
        document[part] = _prefixed(document[part], prefix)
    if messaging.router is not None:
        in_force = handling(messaging.router)
        for operation in document["operations"].values():
            if HANDLING in operation:
                operation[HANDLING] = in_force
    return document


def _prefixed(value: Any, prefix: str) -> Any:
    if isinstance(value, list):
        return [_prefixed(item, prefix) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: f"{prefix}{item}"
        if key in NAMES and isinstance(item, str) and item.endswith(FIFO)
        else _prefixed(item, prefix)
        for key, item in value.items()
    }
