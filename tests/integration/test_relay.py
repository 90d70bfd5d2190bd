"""The relay on a real Postgres and a real LocalStack."""

import httpx
import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from services.relay.main import build
from services.relay.publishing.backlog import PendingEvent
from services.relay.publishing.outcome import Answered, BrokerOutage, CallOutcome, Permanent, Transient
from services.relay.publishing.publisher import Publisher
from tests.support import wal_source
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.outbox import fill, query, record, unpublished
from tests.support.readers import drain_queue, first_sequences
from tests.support.relays import running, settings, shared_out
from tests.support.waiting import eventually


async def published(database: TestDatabase, *, timeout: float = 20.0) -> None:
    async def all_published() -> bool:
        assert (left := await unpublished(database.url)) == 0, f"{left} events are not published"
        return True

    await eventually(all_published, timeout=timeout)


async def test_events_are_sent_confirmed_and_arrive_in_order(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"o-{g}", n) for n in range(1, 8) for g in range(12)])
    async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)):
        await published(outbox_database)
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 84)
    assert len(arrived) == 84
    assert first_sequences(arrived) == {f"o-{g}": list(range(1, 8)) for g in range(12)}
    rows = await query(outbox_database.url, "SELECT * FROM outbox_event")
    assert all(row["recorded_at"] <= row["sent_at"] <= row["published_at"] for row in rows)
    assert all(row["attempts"] == 0 and row["republished"] == 0 for row in rows)


async def test_the_bytes_on_the_wire_are_the_bytes_in_the_outbox(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    (recorded,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)], note='ü 김 "quoted" \\ \n')
    async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)):
        await published(outbox_database)
    (arrived,) = await drain_queue(aws, topology.queue("notification", "order-events"), 1)
    assert arrived.to_bytes() == recorded.to_bytes()


async def test_how_long_messages_wait_inside_the_broker_is_measured(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"o-{n}", 1) for n in range(120)])
    app = build(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relay") as http,
    ):
        await published(outbox_database)
        samples = dict(line.rsplit(" ", 1) for line in (await http.get("/metrics")).text.splitlines())
        assert 1 <= float(samples["outbox_delivery_delay_seconds_count"]) <= 120
        assert 0 <= float(samples["outbox_delivery_delay_seconds_sum"]) < 20


async def test_two_relays_keep_every_group_in_order(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)
    async with running(made) as first, running(made) as second:
        await shared_out(first, second)
        await fill(outbox_database.url, 30, each=8)
        await published(outbox_database, timeout=40)
        assert first.seen("relay.sent")
        assert second.seen("relay.sent")
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 240)
    assert first_sequences(arrived) == {f"s-{g}": list(range(1, 9)) for g in range(1, 31)}


@pytest.mark.skipif(wal_source.chosen(), reason="the relay waits for many polls, which the log replaces")
async def test_with_polling_every_minute_a_notification_sends_an_event_within_a_second(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology, poll_idle_seconds=60)
    async with running(made) as signals:
        await signals.wait("listener.listening")
        await signals.wait("lanes.changed")

        async def idle() -> bool:
            reads = signals.seen("relay.read")
            return len(reads) >= 8 and reads[-1]["events"] == 0

        await eventually(idle)
        (envelope,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1)])
        await query(outbox_database.url_for(OUTBOX_WRITER), "NOTIFY outbox")
        await signals.wait("relay.sent", where=lambda facts: str(envelope.id) in str(facts), timeout=1.0)


class Interfering:
    """Stands between the relay and the real publisher and plays one fault, for one event."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, subject: str, faults: list[Transient | Permanent]) -> None:
        self.batches: list[list[str]] = []
        real = Publisher.publish

        async def publish(publisher: Publisher, events: list[PendingEvent]) -> CallOutcome:
            self.batches.append([f"{event.subject}/{event.id}" for event in events])
            hit = [event for event in events if event.subject == subject]
            if not hit or not faults:
                return await real(publisher, events)
            rest = [event for event in events if event.subject != subject]
            answer = await real(publisher, rest) if rest else Answered(())
            if not isinstance(answer, Answered):
                return answer
            fault = faults.pop(0)
            outcomes = iter(answer.outcomes)
            return Answered(tuple(fault if event in hit else next(outcomes) for event in events))

        monkeypatch.setattr(Publisher, "publish", publish)


async def test_a_failed_entry_holds_back_its_group_and_no_other(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(
        outbox_database.url_for(OUTBOX_WRITER), [(g, n) for n in (1, 2, 3) for g in ("bad", "good-1", "good-2")]
    )
    Interfering(monkeypatch, "bad", [Transient("InternalError"), Transient("InternalError")])
    async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)):
        await published(outbox_database)
    arrived = await drain_queue(aws, topology.queue("notification", "order-events"), 9)
    assert first_sequences(arrived) == {g: [1, 2, 3] for g in ("bad", "good-1", "good-2")}
    order = [envelope.subject for envelope in arrived]
    assert order.index("bad") > max(i for i, subject in enumerate(order) if subject != "bad")
    (first, *_) = await query(
        outbox_database.url, "SELECT attempts FROM outbox_event WHERE subject = 'bad' ORDER BY id"
    )
    assert first["attempts"] == 2


async def test_a_permanently_rejected_event_is_held_with_its_reason_and_only_its_group_waits(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("bad", 1), ("bad", 2), ("good", 1), ("good", 2)])
    Interfering(monkeypatch, "bad", [Permanent("InvalidParameter: not this one")])
    async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)):

        async def good_is_published() -> bool:
            rows = await query(outbox_database.url, "SELECT published_at FROM outbox_event WHERE subject = 'good'")
            return all(row["published_at"] for row in rows)

        await eventually(good_is_published)

        async def the_reason_is_kept() -> bool:
            rows = await query(outbox_database.url, "SELECT * FROM outbox_event WHERE subject = 'bad' ORDER BY id")
            assert [row["sent_at"] for row in rows] == [None, None]
            assert rows[0]["held_reason"] == "InvalidParameter: not this one"
            return bool(rows[1]["attempts"] == 0)

        await eventually(the_reason_is_kept)


async def test_an_outage_is_not_counted_as_an_attempt_and_ends_without_intervention(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = Publisher.publish, [True]

    async def publish(publisher: Publisher, events: list[PendingEvent]) -> CallOutcome:
        return BrokerOutage("KMSDisabled") if broken[0] else await real(publisher, events)

    monkeypatch.setattr(Publisher, "publish", publish)
    await record(outbox_database.url_for(OUTBOX_WRITER), [("o-1", 1), ("o-1", 2), ("o-2", 1)])
    made = settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)
    app = build(made)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relay") as http,
    ):

        async def not_ready_and_says_why() -> bool:
            answer = await http.get("/readyz")
            return answer.status_code == 503 and "KMSDisabled" in answer.text

        await eventually(not_ready_and_says_why)
        broken[0] = False
        await published(outbox_database)
    rows = await query(outbox_database.url, "SELECT sum(attempts) FROM outbox_event")
    assert rows[0][0] == 0


async def test_a_relay_reports_missing_resources_and_starts_when_they_exist(
    outbox_database: TestDatabase, aws: Aws
) -> None:
    app = build(settings(outbox_database.url_for(OUTBOX_RELAY), aws, BrokerNames("nowhere-")))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relay") as http,
    ):

        async def named() -> bool:
            return "nowhere-order-events-publish-check.fifo does not exist" in (await http.get("/readyz")).text

        await eventually(named)


async def test_many_invalid_events_beside_an_accepted_one_are_held_and_no_outage(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Publisher.publish

    async def publish(publisher: Publisher, events: list[PendingEvent]) -> CallOutcome:
        refused = Permanent("InvalidParameter: not these")
        good = [event for event in events if not event.subject.startswith("bad")]
        answer = await real(publisher, good) if good else Answered(())
        if not isinstance(answer, Answered):
            return answer
        accepted = iter(answer.outcomes)
        return Answered(tuple(next(accepted) if event in good else refused for event in events))

    monkeypatch.setattr(Publisher, "publish", publish)
    await record(outbox_database.url_for(OUTBOX_WRITER), [(f"bad-{n}", 1) for n in range(7)] + [("good", 1)])
    async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)) as signals:
        await signals.wait("relay.sent", where=lambda facts: "'good'" in str(facts))

        async def held() -> bool:
            rows = await query(outbox_database.url, "SELECT 1 FROM outbox_event WHERE held_at IS NOT NULL")
            return len(rows) == 7

        await eventually(held, timeout=5)
        assert not signals.seen("relay.outage")
