"""The error classes that the packages share. Every error of this library descends from EventTrioError.

EventTrioError
├── ConfigurationError    a setting is missing or wrong
├── EventRejected          an event that the broker would not accept
├── MalformedEnvelope     bytes that are not an event envelope
├── BrokerUnavailable     the broker as a whole cannot be used
└── MigrationPending      a migration has not been run
"""

from __future__ import annotations


class EventTrioError(Exception):
    """The base of all errors of this library."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class ConfigurationError(EventTrioError):
    """A setting is missing or wrong. The message names the setting and the remedy."""


class EventRejected(EventTrioError, ValueError):
    """The event exceeds a limit of the broker, so it was not recorded."""


class MalformedEnvelope(EventTrioError, ValueError):
    """The bytes are not an event envelope."""


class BrokerUnavailable(EventTrioError):
    """The broker as a whole cannot be used; no single event is the cause."""


class MigrationPending(EventTrioError):
    """A migration has not been run; run the service's migrate command."""
