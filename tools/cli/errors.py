"""The errors that end a command with exit status 1."""

from __future__ import annotations

from event_trio.errors import EventTrioError


class CommandFailed(EventTrioError):
    """The service refused the request or could not be reached; the message says what to do."""


class NotFound(CommandFailed):
    """The service does not know the requested item."""


class WrongService(CommandFailed):
    """The address belongs to a service of this project that does not serve the requested route."""


class ResponseLost(CommandFailed):
    """The connection failed or timed out after the request was sent, so the change may have been applied."""
