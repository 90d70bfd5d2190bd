"""The tree of errors: everything that this project raises on purpose has one root.

EventTrioError
├── ConfigurationError    a setting is missing or wrong
├── EventRejected          an event that the broker could not carry
├── MalformedEnvelope     bytes that are no event of ours
├── BrokerUnavailable     the broker as a whole does not work
└── MigrationPending      the database is behind the code
"""

from __future__ import annotations


class EventTrioError(Exception):
    """Something went wrong in a way that this project foresaw."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class ConfigurationError(EventTrioError):
    """A setting is missing or wrong; the message names it and says what to do."""


class EventRejected(EventTrioError, ValueError):
    """The event is outside what the broker carries, so it was not recorded."""


class MalformedEnvelope(EventTrioError, ValueError):
    """The bytes are not a CloudEvents envelope of this project."""


class BrokerUnavailable(EventTrioError):
    """The broker cannot be used as a whole: no single event is at fault."""


class MigrationPending(EventTrioError):
    """The database is behind the code; run the service's migrations."""
