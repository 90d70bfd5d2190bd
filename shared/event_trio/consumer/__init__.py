"""Consumes an SQS FIFO queue: groups in parallel, the events of a group in order, each with its effect once."""

from ..contracts.payload import EventPayload
from .api import consume
from .errors import Reject, RetryLater
from .event import Event
from .options import ConsumerOptions
from .policies import DeadLetter, FailurePolicy, Ignore, PublishFailure, Rest, Retry, RetryInPlace, Unit
from .router import Router, Stale
from .sources.worker import Consumer

__all__ = [
    "Consumer",
    "ConsumerOptions",
    "DeadLetter",
    "Event",
    "EventPayload",
    "FailurePolicy",
    "Ignore",
    "PublishFailure",
    "Reject",
    "Rest",
    "Retry",
    "RetryInPlace",
    "RetryLater",
    "Router",
    "Stale",
    "Unit",
    "consume",
]
