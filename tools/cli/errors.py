"""What a command ends with when it cannot do what it was asked to."""

from event_trio.errors import EventTrioError


class CommandFailed(EventTrioError):
    """The service said no, or nothing at all; the message says what to do."""


class NotFound(CommandFailed):
    """The service does not know it."""


class WrongService(CommandFailed):
    """A service of this project, but another than the one that was meant."""


class ResponseLost(CommandFailed):
    """The connection broke, or nothing came in time: what was asked for may have been done."""
