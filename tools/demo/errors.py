"""What can go wrong in a demo; every message says what to do about it."""

from event_trio.errors import EventTrioError


class DemoError(EventTrioError):
    """The demo cannot go on."""


class NotEverybodyNotifiedError(DemoError):
    """Not every order was notified in time."""
