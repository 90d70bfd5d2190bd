"""The process of the service is killed before and after its commit; another one takes over."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws
from event_trio.contracts.orders import OrderConfirmed
from event_trio.envelope import Envelope
from tests.support.consuming import rows
from tests.support.databases import TestDatabase
from tests.support.fifo import FifoQueue, fifo_queue
from tests.support.mail import mail_server
from tests.support.notification_service import Order, environment, queue_name
from tests.support.processes import child, service_process
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port

MODULE = "services.notification.main"


@pytest.fixture
def prefix() -> str:
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
async def queue(aws: Aws, prefix: str) -> AsyncIterator[FifoQueue]:
    async with fifo_queue(aws, queue_name(prefix)) as made:
        yield made


@pytest.mark.parametrize(
    ("failpoint", "mails"), [("consumer.after_act", 2), ("consumer.before_commit", 2), ("consumer.after_commit", 1)]
)
async def test_a_killed_process_loses_and_duplicates_nothing(
    failpoint: str,
    mails: int,
    notifications_database: TestDatabase,
    aws: Aws,
    prefix: str,
    queue: FifoQueue,
    tmp_path: Path,
) -> None:
    """A crash before the commit sends the mail again with the same Message-ID; one after it does not."""
    order = Order()
    events = [order.placed(), order.event(OrderConfirmed)]
    with mail_server() as server:
        settings = {
            **environment(notifications_database, aws, prefix),
            "SENDER": "smtp",
            "SMTP_HOST": LOOPBACK,
            "SMTP_PORT": str(server.port),
            "SMTP_FROM": "shop@example.com",
            "SMTP_SECURITY": "none",
        }
        for event in events:
            await queue.send(event)
        died = {**settings, "HTTP_PORT": str(free_port()), "FAILPOINT": failpoint}
        dying = child(MODULE, died, tmp_path, forked=True)
        dying.start()

        async def is_dead() -> bool:
            return dying.status is not None

        try:
            await eventually(is_dead, timeout=30)
        finally:
            await dying.stop()
        kept = 1 if failpoint == "consumer.after_commit" else 0
        assert len(await rows(notifications_database, "SELECT 1 FROM notification")) == kept
        async with service_process(MODULE, settings, tmp_path):

            async def all_kept() -> bool:
                return len(await rows(notifications_database, "SELECT 1 FROM processed_message")) == len(events)

            await eventually(all_kept, timeout=30)
            await eventually(queue.is_empty)
        sent = [str(mail["Message-ID"]) for mail in server.mails]
    first, second = (f"<{event.id}@example.com>" for event in events)
    assert sent == [*[first] * mails, second]
    stated = await rows(notifications_database, "SELECT envelope FROM outbox_event ORDER BY sequence")
    assert [Envelope.parse(envelope).causationid for (envelope,) in stated] == [str(event.id) for event in events]
    found = await rows(notifications_database, "SELECT outcome FROM processed_message")
    assert found == [("handled",), ("handled",)]
