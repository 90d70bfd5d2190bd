"""The errors of the demo; every message says what to do."""

from __future__ import annotations

from event_trio.errors import EventTrioError


class DemoFailed(EventTrioError):
    """The demo cannot start or continue."""


class NotificationsMissing(DemoFailed):
    """Some orders were not notified in time."""
