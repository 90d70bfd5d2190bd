"""What can go wrong in a demo; every message says what to do about it."""

from event_trio.errors import EventTrioError


class DemoFailed(EventTrioError):
    """The demo cannot go on."""


class NotificationsMissing(DemoFailed):
    """Not every order was notified in time."""
