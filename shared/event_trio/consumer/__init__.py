"""Consumes an SQS FIFO queue: groups in parallel, the events of a group in order, each with its effect once."""

from ..extras import requires

with requires("consumer"):
    from ..contracts.payload import EventPayload
    from ..inbox.claim_at_once import Writes
    from ..inbox.delivery import DecodedMessage
    from .api import consume
    from .decoders import Decoder, JsonDecoder, cloud_events
    from .errors import DependencyUnavailable, Reject, RetryLater
    from .event import Event
    from .options import ConsumerOptions
    from .policies import (
        DeadLetter,
        FailurePolicy,
        Ignore,
        PublishFailure,
        Rest,
        Retry,
        RetryInPlace,
        Unit,
        UnknownTypes,
    )
    from .router import Router, Stale
    from .sources.worker import Consumer

__all__ = [
    "Consumer",
    "ConsumerOptions",
    "DeadLetter",
    "DecodedMessage",
    "Decoder",
    "DependencyUnavailable",
    "Event",
    "EventPayload",
    "FailurePolicy",
    "Ignore",
    "JsonDecoder",
    "PublishFailure",
    "Reject",
    "Rest",
    "Retry",
    "RetryInPlace",
    "RetryLater",
    "Router",
    "Stale",
    "Unit",
    "UnknownTypes",
    "Writes",
    "cloud_events",
    "consume",
]
