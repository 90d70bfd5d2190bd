"""What can go wrong while a server is being started; every message says what to do about it."""

from event_trio.errors import EventTrioError


class EmbeddedServerFailed(EventTrioError):
    """An embedded server could not be started."""


class PortInUse(EmbeddedServerFailed):
    """A port is held by another program."""
