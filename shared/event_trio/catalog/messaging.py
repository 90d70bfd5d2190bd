"""What a service publishes and consumes, as its process declares it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..consumer.build import Subscription
from ..consumer.router import Router
from ..contracts.payload import EventPayload
from ..contracts.schema import SCHEMAS_URL


@dataclass(frozen=True, slots=True)
class Messaging:
    """The events that a service publishes, and those that it handles.

    The application of a service has it as `app.state.messaging`, from which the AsyncAPI document is generated.
    """

    service: str
    title: str
    description: str
    document: Path
    """The generated AsyncAPI document, a file of the service."""
    domain: str | None = None
    """The domain of its events, such as `order-events`; None if it publishes none."""
    events: tuple[type[EventPayload], ...] = ()
    schemas_url: str = SCHEMAS_URL
    """With what `dataschema` of its events begins."""
    subscription: Subscription | None = None
    router: Router | None = None
    """The handlers of the subscription, with the failure policies that are in force."""
