"""The relay with a faulty network and broker: afterwards its events are sent, in order and once."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.faulty_broker import (
    Fault,
    FaultyBroker,
    answer_of,
    faulty_broker,
    json_refusal,
    refusal,
)
from tests.support.outbox import query, record
from tests.support.readers import drain_queue, first_sequences
from tests.support.relays import running, settings
from tests.support.waiting import eventually

HTML = "<html><body>Back soon!</body></html>"

ON_THE_WAY_OUT = [
    Fault("connection reset before the broker saw the request"),
    Fault("answer lost", passes=True),
    Fault("no answer at all", passes=True, answer=lambda _: b""),
    Fault("slow answer, but in time", passes=True, answer=lambda real: real, delay=0.5),
    Fault("garbage for an answer", passes=True, answer=lambda _: answer_of("200 OK", "\x00!")),
    Fault("somebody else's page for an answer", answer=lambda _: answer_of("200 OK", HTML)),
    Fault("answer of another call", answer=lambda _: answer_of("200 OK", "<PublishResponse></PublishResponse>")),
    Fault("answer cut off", passes=True, answer=lambda real: real[: len(real) // 2]),
    Fault("bad gateway", answer=lambda _: answer_of("502 Bad Gateway", HTML)),
    Fault("unavailable", answer=lambda _: refusal("503 Service Unavailable", "ServiceUnavailable")),
    Fault("internal error", answer=lambda _: refusal("500 Internal Server Error", "InternalFailure")),
    Fault("throttled", answer=lambda _: refusal("400 Bad Request", "Throttling")),
    Fault("credentials expired", answer=lambda _: refusal("403 Forbidden", "ExpiredToken")),
    Fault("access denied", answer=lambda _: refusal("403 Forbidden", "AuthorizationError")),
]

ON_THE_WAY_BACK = [
    Fault("connection reset"),
    Fault("answer lost", passes=True),
    Fault("garbage for an answer", answer=lambda _: answer_of("200 OK", "\x00!")),
    Fault("JSON of another shape", answer=lambda _: answer_of("200 OK", "[1]")),
    Fault("throttled", answer=lambda _: json_refusal("400 Bad Request", "RequestThrottled")),
    Fault("credentials expired", answer=lambda _: json_refusal("400 Bad Request", "ExpiredTokenException")),
]


@pytest.fixture
async def broker(aws: Aws) -> AsyncIterator[FaultyBroker]:
    async with faulty_broker(aws) as made:
        yield made


async def test_whatever_happens_to_a_call_its_events_are_sent_in_order_without_a_counted_attempt(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, broker: FaultyBroker
) -> None:
    made = settings(outbox_database.url_for(OUTBOX_RELAY), broker.aws, topology, call_seconds=1)
    async with running(made) as signals:
        await signals.wait("lanes.changed")
        for number, fault in enumerate(ON_THE_WAY_OUT):
            broker.plan("PublishBatch", fault)
            await record(outbox_database.url_for(OUTBOX_WRITER), [(f"o-{number}", n) for n in (1, 2)])
            await query(outbox_database.url_for(OUTBOX_WRITER), "NOTIFY outbox")
            await eventually(none_left("sent", outbox_database, broker, fault.name), timeout=10)
        await eventually(none_left("published", outbox_database, broker, "all"), timeout=10)
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 2 * len(ON_THE_WAY_OUT))
    assert first_sequences(arrived) == {f"o-{n}": [1, 2] for n in range(len(ON_THE_WAY_OUT))}
    assert len(arrived) == 2 * len(ON_THE_WAY_OUT), "what the broker had already was delivered once more"
    rows = await query(outbox_database.url, "SELECT 1 FROM outbox_event WHERE attempts > 0 OR held_at IS NOT NULL")
    assert rows == []


async def test_whatever_happens_to_receives_and_deletes_every_event_is_confirmed(
    outbox_database: TestDatabase, topology: BrokerNames, broker: FaultyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.relay.confirmation.publish_check.VISIBILITY_SECONDS", 1)
    made = settings(outbox_database.url_for(OUTBOX_RELAY), broker.aws, topology, call_seconds=1)
    for fault in ON_THE_WAY_BACK[2:5]:
        broker.plan("GetQueueUrl", fault)
        broker.plan("GetQueueAttributes", fault)
    async with running(made) as signals:
        for number, fault in enumerate(ON_THE_WAY_BACK):
            for action in ("ReceiveMessage", "DeleteMessageBatch"):
                broker.plan(action, fault)
            await record(outbox_database.url_for(OUTBOX_WRITER), [(f"o-{number}", 1)])
            await query(outbox_database.url_for(OUTBOX_WRITER), "NOTIFY outbox")
            await eventually(none_left("published", outbox_database, broker, fault.name), timeout=20)
        assert not signals.seen("loop.failed")


def none_left(state: str, database: TestDatabase, broker: FaultyBroker, what: str) -> Callable[[], Awaitable[bool]]:
    """Whether every event came to this state and every planned fault has happened."""

    async def done() -> bool:
        rows = await query(database.url, f"SELECT subject FROM outbox_event WHERE {state}_at IS NULL")
        assert not rows, f"{what}: {rows} not {state}"
        assert broker.is_over, f"{what}: not met yet"
        return True

    return done
