"""A notification in the service's database, and the service without a broker."""

from typing import Any

from pydantic import SecretStr

from services.notification.settings import NotificationSettings
from tests.support.databases import TestDatabase
from tests.support.operators import NO_BROKER

ORDER_ID = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"
NOTIFICATION = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e11"


def notified() -> tuple[str, ...]:
    """The statements that make a notification about an order of customer-1."""
    return (
        f"""
        INSERT INTO order_recipient (order_id, customer_id, recipient, locale, last_sequence)
        VALUES ('{ORDER_ID}', 'customer-1', 'ada@example.com', 'en', 1)
        """,
        f"""
        INSERT INTO notification (id, order_id, event_id, event_type, channel, recipient, locale, subject, body, status,
                                  created_at, sent_at)
        VALUES ('{NOTIFICATION}', '{ORDER_ID}', gen_random_uuid(), 'order.placed', 'log', 'ada@example.com', 'en',
                's', 'b', 'sent', now(), now())
        """,
    )


def notification_settings(database: TestDatabase, **given: Any) -> NotificationSettings:
    """The service without a broker: its REST API does not depend on it."""
    return NotificationSettings(
        database_url=SecretStr(database.url_for("notification_api")),
        aws_endpoint_url=NO_BROKER.endpoint_url,
        topology_prefix="none-",
        queue_wait_seconds=1,
        drain_seconds=2,
        **given,
    )
