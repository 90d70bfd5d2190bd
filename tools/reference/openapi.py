"""The services' OpenAPI documents, as they are where callers need a token."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from fastapi import FastAPI

from services.notification import main as notification
from services.notification.settings import NotificationSettings
from services.order import main as order
from services.order.settings import OrderSettings
from services.relay import main as relay
from services.relay.settings import RelaySettings

# Nothing is asked there: a document is made of the code alone.
SETTINGS: dict[str, Any] = {
    "database_url": "postgresql://nobody@127.0.0.1/nothing",
    "auth_jwks": "https://issuer.example.com/jwks.json",
    "auth_issuer": "https://issuer.example.com",
    "auth_audience": "event-trio",
}


def order_document() -> str:
    """Of the order service."""
    with mock.patch.dict("os.environ", clear=True):
        return _text(order.build(OrderSettings(**SETTINGS)))


def notification_document() -> str:
    """Of the notification service."""
    with mock.patch.dict("os.environ", clear=True):
        return _text(notification.build(NotificationSettings(**SETTINGS)))


def relay_document() -> str:
    """Of a relay; those of other topics differ in the title."""
    with mock.patch.dict("os.environ", clear=True):
        return _text(relay.build(RelaySettings(**SETTINGS, topic="order-events")))


def _text(app: FastAPI) -> str:
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"
