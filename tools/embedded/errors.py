"""The errors of the embedded servers; every message says what to do."""

from __future__ import annotations

from event_trio.errors import EventTrioError


class EmbeddedServerFailed(EventTrioError):
    """An embedded server could not be started."""


class PortInUse(EmbeddedServerFailed):
    """Another program listens on the port."""
