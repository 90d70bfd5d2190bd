"""The OpenAPI documents of the services, with authentication enabled."""

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

# No connection is made: a document depends on the code only.
SETTINGS: dict[str, Any] = {
    "database_url": "postgresql://nobody@127.0.0.1/nothing",
    "auth_jwks": "https://issuer.example.com/jwks.json",
    "auth_issuer": "https://issuer.example.com",
    "auth_audience": "event-trio",
}


def applications() -> dict[str, FastAPI]:
    """The application of each service by its name; relays differ only in the title, so one represents all."""
    with mock.patch.dict("os.environ", clear=True):
        return {
            "order": order.build(OrderSettings(**SETTINGS)),
            "notification": notification.build(NotificationSettings(**SETTINGS)),
            "relay": relay.build(RelaySettings(**SETTINGS, topic="order-events")),
        }


def document(name: str) -> str:
    """The OpenAPI document of a service."""
    return json.dumps(applications()[name].openapi(), indent=2, ensure_ascii=False) + "\n"
