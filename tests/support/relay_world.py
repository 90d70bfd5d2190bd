"""Simulates writers, relays and a broker step by step; database, reader, updates and dispatcher are the real ones."""

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg

from event_trio.database.connections import Connection, Pool
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.confirmation.broker_identity import BrokerIdentity
from services.relay.jobs.releases import Releases
from services.relay.jobs.replays import Replays
from services.relay.operators.operations import NotInOutbox, OperationRefused, Operations
from services.relay.publishing.backlog import Backlog, NextEventAfter
from services.relay.publishing.dispatcher import Dispatcher
from services.relay.publishing.outbox_reader import OutboxReader
from services.relay.publishing.outbox_updates import OutboxUpdates
from services.relay.publishing.outcome import BrokerOutage, NotAttempted
from tests.support.broker_model import Broker, Call
from tests.support.relay_parts import BelievedLanes, ModelClock, Relay, unread_metrics
from tests.support.sweeping_model import sweep

CALL_SECONDS = 5.0
DECISION = Decision(actor="model", reason="to see what happens")


class World:
    """The parts of one run of the model; one database serves many runs."""

    def __init__(self, pool: Pool, owners: Pool, release: NextEventAfter) -> None:
        self.pool = pool
        self._owners = owners
        self.operations = Operations(pool, call_seconds=CALL_SECONDS)
        self.release = release
        self.clock = ModelClock()
        self.broker = Broker()
        self.calls: list[Call] = []
        self.sequences: dict[str, int] = {}
        self.written: dict[str, int] = defaultdict(int)
        self.committed: dict[str, list[int]] = defaultdict(list)
        self.late: dict[str, tuple[Connection, list[int]]] = {}
        self.discarded: dict[str, set[int]] = defaultdict(set)
        self.confirmed: set[tuple[UUID, int]] = set()
        self.relays: list[Relay] = []

    async def open(self, relays: int) -> None:
        """Begin with an empty outbox and this many relays, each with its share of the lanes."""
        await self.execute(
            "TRUNCATE outbox_event, outbox_replay, outbox_release, outbox_hold, outbox_audit RESTART IDENTITY"
        )
        await self.execute("UPDATE outbox_lane SET owner = NULL, token = token + 1")
        await self.execute("UPDATE outbox_control SET broker = '1', probes = '{}', check_broken_at = NULL,"
                           " confirmed_at = NULL, confirmed_sent_at = NULL")  # fmt: skip
        self.relays = [self._new_relay(number) for number in range(relays)]
        for relay in self.relays:
            relay.met = self.broker.created
            await self.take_over(relay, [lane for lane in range(LANES) if lane % relays == relay.number])

    async def close(self) -> None:
        """Roll back uncommitted transactions."""
        for connection, _ in self.late.values():
            await connection.execute("ROLLBACK")
            await self._owners.release(connection)

    async def execute(self, statement: str, *arguments: object) -> None:
        """Execute a statement as the owner of the tables."""
        async with self._owners.acquire() as connection:
            await connection.execute(statement, *arguments)

    async def write(self, group: str, *, late: bool) -> None:
        """Record the group's next event; a late one keeps its number and commits at some other time."""
        if group in self.late:
            # The aggregate's row is locked by whoever has not committed: this writer would wait.
            return
        connection = await self._owners.acquire()
        await connection.execute("BEGIN")
        self.written[group] += 1
        sequence, event_id = self.written[group], uuid4()
        await connection.execute(
            "INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)"
            " VALUES ($1, '/model', $2, $3, 'x', '{}')", event_id, group, sequence,
        )  # fmt: skip
        self.sequences[str(event_id)] = sequence
        self.late[group] = (connection, [sequence])
        if not late:
            await self.commit(group)

    async def commit(self, group: str) -> None:
        """Commit the late transaction of a group."""
        connection, sequences = self.late.pop(group)
        await connection.execute("COMMIT")
        await self._owners.release(connection)
        self.committed[group] += sequences

    async def take_over(self, relay: Relay, lanes: list[int]) -> None:
        """Give lanes to a relay; their former owner does not know yet."""
        async with self.pool.acquire() as connection:
            rows = await connection.fetch(
                "UPDATE outbox_lane SET owner = $1, token = token + 1 WHERE lane = ANY ($2::smallint[])"
                " RETURNING lane, token", relay.relay_id, lanes,
            )  # fmt: skip
        relay.lanes.tokens |= {row["lane"]: row["token"] for row in rows}

    async def notice(self, relay: Relay) -> None:
        """Let a relay learn which lanes it still owns."""
        async with self.pool.acquire() as connection:
            rows = await connection.fetch("SELECT lane, token FROM outbox_lane WHERE owner = $1", relay.relay_id)
        lost = set(relay.lanes.tokens) - {row["lane"] for row in rows}
        relay.lanes.tokens = {row["lane"]: row["token"] for row in rows}
        relay.dispatcher.drop_lanes(lost)

    async def send(self, relay: Relay) -> bool:
        """Begin a call if there are events to send; a broker not identified yet is only identified."""
        batch = relay.dispatcher.take()
        if batch and relay.met != self.broker.created:
            known = await relay.identity.identify(str(self.broker.created))
            relay.met = self.broker.created if known else relay.met
            relay.dispatcher.apply(batch, NotAttempted() if known else BrokerOutage("what it lost goes first"))
            return False
        if batch:
            self.calls.append(Call(relay.number, batch))
        return bool(batch)

    async def answer(self, call: Call, *, lose: bool) -> None:
        """Deliver the answer to the relay, or let it time out; then the broker may still process the call."""
        relay = self.relays[call.relay]
        heard = BrokerOutage("no answer") if lose or call.answer is None else call.answer
        if call.answer is not None:
            self.calls.remove(call)
        call.abandoned = True
        settled = relay.dispatcher.apply(call.batch, heard)
        relay.unrecorded += settled.acknowledged
        await relay.dispatcher.record_failures(settled.failed)

    async def record(self, relay: Relay) -> None:
        """Record the acknowledgements of a relay."""
        receipts, relay.unrecorded = relay.unrecorded, []
        if receipts:
            await relay.dispatcher.record_acknowledgements(receipts)

    async def crash(self, relay: Relay) -> None:
        """Let a relay die; its calls stay in progress, and a new relay takes its lanes."""
        for call in self.calls:
            call.abandoned = call.abandoned or call.relay == relay.number
        lanes = list(relay.lanes.tokens)
        self.broker.check_queue.give_back(relay.relay_id)
        self.relays[relay.number] = self._new_relay(relay.number)
        await self.take_over(self.relays[relay.number], lanes)

    async def replace_broker(self) -> None:
        """Recreate the broker, empty; calls that the old one has not processed fail."""
        self.broker = self.broker.replaced()
        for call in [call for call in self.calls if call.answer is None]:
            call.answer = BrokerOutage("connection lost")
            if call.abandoned:
                self.calls.remove(call)

    async def do_replays(self) -> None:
        """Carry out all replays."""
        replays = Replays(self.pool, metrics=unread_metrics(), signals=Signals())
        while await replays.step():
            pass

    async def receive(self, relay: Relay, count: int) -> None:
        """Receive from the publish check without recording."""
        relay.in_hand += self.broker.check_queue.receive(relay.relay_id, count)

    async def confirm(self, relay: Relay, count: int) -> None:
        """Receive from the publish check and record all received confirmations."""
        await self.receive(relay, count)
        taken, relay.in_hand = relay.in_hand, []
        if taken:
            confirmations = [relay.completed(message.confirmation) for message in taken]
            self.confirmed |= {(c.event_id, c.republished) for c in confirmations}
            # So that it is kept when this was sent, however soon it comes after the one before.
            await self.execute("UPDATE outbox_control SET confirmed_at = NULL")
            relay.note_published(confirmations, await relay.updates.mark_published(confirmations))
            self.broker.check_queue.delete(taken)

    async def sweep(self) -> int:
        """Sweep once."""
        return await sweep(self.pool, self.broker.check_queue)

    async def be_patient(self) -> None:
        """Wait for as long as a discard requires."""
        await self.wait(self.operations.settling_seconds + 0.1)

    async def wait(self, seconds: float) -> None:
        """Let time pass, for relays and in the database; no call in progress can reach the broker any more."""
        self.clock.seconds += seconds
        for call in list(self.calls):
            if not call.abandoned:
                await self.answer(call, lose=call.answer is None)
        self.calls.clear()
        await self.execute(
            "UPDATE outbox_event SET held_at = held_at - $1::interval, sent_at = sent_at - $1,"
            " recorded_at = recorded_at - $1",
            timedelta(seconds=seconds),
        )
        await self.execute(
            "UPDATE outbox_control SET confirmed_sent_at = confirmed_sent_at - $1::interval", timedelta(seconds=seconds)
        )

    async def hold(self, group: str) -> None:
        """Hold a group, if it is not held."""
        with suppress(NotInOutbox, OperationRefused):
            await self.operations.hold(group, DECISION)

    async def discard_head(self, group: str) -> None:
        """Discard the first held event of a group, if that is allowed by now."""
        head = await self._held_head(group)
        if head is not None:
            with suppress(OperationRefused):
                await self.operations.discard(head["event_id"], DECISION)
                self.discarded[group].add(head["sequence"])
        await self._do_releases()

    async def release_all(self) -> None:
        """Release all groups."""
        for group in list(self.written):
            with suppress(NotInOutbox, OperationRefused):
                await self.operations.release(group, DECISION)
        await self._do_releases()

    async def _do_releases(self) -> None:
        releases = Releases(self.pool, signals=Signals())
        while await releases.step():
            pass

    async def _held_head(self, group: str) -> asyncpg.Record | None:
        async with self._owners.acquire() as connection:
            return await connection.fetchrow(
                "SELECT event_id, sequence FROM outbox_event WHERE subject = $1 AND held_at IS NOT NULL"
                " ORDER BY sequence LIMIT 1",
                group,
            )

    async def settle(self) -> None:
        """End all faults: relay 0 has every lane, the broker accepts everything, and time passes."""
        for group in list(self.late):
            await self.commit(group)
        await self.wait(60.0)
        carrier, *others = self.relays
        await self.take_over(carrier, list(range(LANES)))
        for other in others:
            await self.notice(other)
            await self.record(other)
            await self.confirm(other, 0)
        for _ in range(200):
            await self.do_replays()
            await self.release_all()
            await self.record(carrier)
            await carrier.dispatcher.read()
            while await self.send(carrier):
                pass
            for call in list(self.calls):
                self.broker.process(call, (), (), self.sequences)
                await self.answer(call, lose=False)
            await self.record(carrier)
            await self.confirm(carrier, 1000)
            rows = await self.rows()
            # A relay that has nothing to send does not ask for its broker.
            if not rows or (carrier.met == self.broker.created and all(row["published_at"] for row in rows)):
                return
            self.clock.seconds += 61.0
            await self.sweep()
        raise AssertionError("not everything is published")

    async def rows(self) -> list[asyncpg.Record]:
        """Return all rows of the outbox."""
        async with self.pool.acquire() as connection:
            found: list[asyncpg.Record] = await connection.fetch("SELECT * FROM outbox_event ORDER BY id")
            return found

    def _new_relay(self, number: int) -> Relay:
        relay_id, lanes, backlog = uuid4(), BelievedLanes(), Backlog(self.release, random=lambda: 0.0)
        updates = OutboxUpdates(self.pool, relay_id)
        dispatcher = Dispatcher(
            reader=OutboxReader(self.pool, self.release),
            updates=updates,
            lanes=lanes,
            backlog=backlog,
            clock=self.clock,
            metrics=unread_metrics(),
        )
        created = cast(Any, None)
        identity = BrokerIdentity(
            self.pool, created, relay_id=relay_id, automatic=True, on_new=lambda: None, signals=Signals()
        )
        return Relay(number, relay_id, dispatcher, updates, lanes, identity)
