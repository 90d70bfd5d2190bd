"""What can go wrong while a server is being started; every message says what to do about it."""

from event_trio.errors import EventTrioError


class EmbeddedServerError(EventTrioError):
    """An embedded server could not be started."""


class PortInUseError(EmbeddedServerError):
    """A port is held by another program."""
