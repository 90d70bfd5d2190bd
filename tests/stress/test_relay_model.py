"""Whatever writers, relays and broker do, and whenever they die: nothing is lost, and each group is accepted in order.

A broker may be replaced by one with nothing in it, a hot group may come back slowly, and what is called lost must be.
Searches the space of schedules with Hypothesis over the real reader, updates, backlog, dispatcher, sweeper, replays and
operations on a real Postgres. `make mutants` plants known mistakes into a copy of the code and expects this very search
to find each. `make model` searches for longer.
"""

import asyncio
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from event_trio.database.connections import Pool, create_pool
from services.relay.publishing.backlog import NextEventAfter
from tests.support import replaying_model
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.model_search import LIMIT_SECONDS, search
from tests.support.relay_world import World

EXAMPLES = 60
STEPS = 50
GROUPS = st.sampled_from(["a", "b", "c", "d"])
RELAY = st.integers(0, 1)
INDEXES = st.lists(st.integers(0, 3), max_size=2, unique=True)


class RelayMachine(RuleBasedStateMachine):
    """Two relays on one outbox. Rules are what may happen next, invariants what must hold after each step."""

    runner: ClassVar[asyncio.Runner]
    pool: ClassVar[Pool]
    owners: ClassVar[Pool]
    release: ClassVar[NextEventAfter]

    def run(self, step: Any) -> Any:
        return self.runner.run(step)

    @initialize()
    def begin(self) -> None:
        self.world = World(self.pool, self.owners, self.release)
        self.run(self.world.open(relays=2))

    @rule(group=GROUPS, late=st.booleans())
    def write(self, group: str, late: bool) -> None:
        self.run(self.world.write(group, late=late))

    @rule(group=GROUPS, count=st.integers(2, 4))
    def write_several(self, group: str, count: int) -> None:
        for _ in range(count):
            self.run(self.world.write(group, late=False))

    @rule(group=GROUPS)
    def commit_late(self, group: str) -> None:
        if group in self.world.late:
            self.run(self.world.commit(group))

    @rule(relay=RELAY)
    def read_and_send(self, relay: int) -> None:
        self._begin_call(relay)

    def _begin_call(self, relay: int) -> bool:
        """Read and send; once more where the relay had first to meet the broker, which is no call yet."""
        carrier = self.world.relays[relay]
        for _ in range(2):
            self.run(carrier.dispatcher.read())
            if self.run(self.world.send(carrier)):
                return True
        return False

    @rule(relay=RELAY)
    def send(self, relay: int) -> None:
        self.run(self.world.send(self.world.relays[relay]))

    @rule(number=st.integers(0, 3), refused=INDEXES, for_good=st.booleans(), lost=INDEXES)
    def broker_processes(self, number: int, refused: list[int], for_good: bool, lost: list[int]) -> None:
        waiting = [call for call in self.world.calls if call.answer is None]
        if number < len(waiting):
            verdicts = [(index, for_good) for index in refused]
            self.world.broker.process(waiting[number], verdicts, lost, self.world.sequences)
            if waiting[number].abandoned:
                self.world.calls.remove(waiting[number])

    @rule(number=st.integers(0, 3), lose=st.booleans())
    def answer(self, number: int, lose: bool) -> None:
        under_way = [call for call in self.world.calls if not call.abandoned]
        if number < len(under_way) and (lose or under_way[number].answer is not None):
            self.run(self.world.answer(under_way[number], lose=lose))

    @rule(relay=RELAY, refused=INDEXES, for_good=st.booleans(), lost=INDEXES, record=st.booleans())
    def carry(self, relay: int, refused: list[int], for_good: bool, lost: list[int], record: bool) -> None:
        """The usual way in one step, so that a search goes far: read, send, processed, answered, and maybe recorded."""
        carrier = self.world.relays[relay]
        if self._begin_call(relay):
            call = self.world.calls[-1]
            self.world.broker.process(call, [(index, for_good) for index in refused], lost, self.world.sequences)
            self.run(self.world.answer(call, lose=False))
        if record:
            self.run(self.world.record(carrier))

    @rule(relay=RELAY, group=GROUPS, for_good=st.booleans())
    def refuse_a_head_and_go_on(self, relay: int, group: str, for_good: bool) -> None:
        """A group with more to send, its head refused, and the relay's next call: chance alone seldom brings these."""
        world = self.world
        for _ in range(2):
            self.run(world.write(group, late=False))
        if self._begin_call(relay):
            call = world.calls[-1]
            verdicts = [(index, for_good) for index, event in enumerate(call.batch) if event.subject == group]
            world.broker.process(call, verdicts, [], world.sequences)
            self.run(world.answer(call, lose=False))
        self.carry(relay, [], False, [], True)

    @rule(relay=RELAY)
    def record(self, relay: int) -> None:
        self.run(self.world.record(self.world.relays[relay]))

    @rule(relay=RELAY, count=st.integers(1, 5))
    def confirm(self, relay: int, count: int) -> None:
        self.run(self.world.confirm(self.world.relays[relay], count))

    @rule(relay=RELAY, count=st.integers(1, 5))
    def receive(self, relay: int, count: int) -> None:
        self.run(self.world.receive(self.world.relays[relay], count))

    @rule(relay=RELAY, group=GROUPS, lost=st.sets(st.integers(0, 4), max_size=2), confirmed=st.integers(0, 4))
    def a_hot_group_comes_back_slowly(self, relay: int, group: str, lost: set[int], confirmed: int) -> None:
        """Several events of a group are sent, some are lost, few come back; and then somebody looks for losses."""
        world, carrier = self.world, self.world.relays[relay]
        for number in range(5):
            self.run(world.write(group, late=False))
            if self._begin_call(relay):
                call = world.calls[-1]
                vanish = [i for i, event in enumerate(call.batch) if event.subject == group and number in lost]
                world.broker.process(call, [], vanish, world.sequences)
                self.run(world.answer(call, lose=False))
            self.run(world.record(carrier))
        self.run(world.confirm(carrier, confirmed))
        self.run(world.sweep())

    @rule(relay=RELAY, group=GROUPS, acknowledged=st.booleans(), received=st.integers(0, 3))
    def a_new_broker(self, relay: int, group: str, acknowledged: bool, received: int) -> None:
        """What the old one acknowledged or gave back one relay records only after the other has met the new one."""
        world, carrier, late = self.world, self.world.relays[relay], self.world.relays[1 - relay]
        for _ in range(2):
            self.run(world.write(group, late=False))
        if acknowledged:
            self.run(world.take_over(late, carrier.lanes.owned()))
            self.carry(1 - relay, [], False, [], False)
        self.run(world.receive(late, received))
        self.run(world.replace_broker())
        self.run(world.take_over(carrier, late.lanes.owned()))
        for _ in range(2):
            self.run(carrier.dispatcher.read())
            self.run(world.send(carrier))
        self.run(world.do_replays())
        self.run(world.record(late))
        self.run(world.confirm(late, 0))
        self.carry(relay, [], False, [], True)

    @rule()
    def replay(self) -> None:
        self.run(self.world.do_replays())

    @rule(relay=RELAY, group=GROUPS, everything=st.booleans(), steps=st.integers(0, 3), cancelled=st.booleans())
    def an_operator_replays(self, relay: int, group: str, everything: bool, steps: int, cancelled: bool) -> None:
        """Several events of a group were sent; a part of them is marked to be sent again when new ones are recorded."""
        world = self.world
        for _ in range(2):
            self.run(world.write(group, late=False))
            self.carry(relay, [], False, [], True)
        job = self.run(replaying_model.request(world.operations, None if everything else group))
        self.run(replaying_model.step(world.pool, steps))
        self.run(world.write(group, late=False))
        self.carry(relay, [], False, [], True)
        if cancelled and job is not None:
            self.run(replaying_model.cancel(world.operations, job))
        self.carry(relay, [], False, [], True)

    @rule(relay=RELAY)
    def crash(self, relay: int) -> None:
        self.run(self.world.crash(self.world.relays[relay]))

    @rule(relay=RELAY, notice=st.booleans())
    def take_over_everything(self, relay: int, notice: bool) -> None:
        """The other may have been stopped past its lease: it does not know, and comes back."""
        world, other = self.world, self.world.relays[1 - relay]
        self.run(world.take_over(world.relays[relay], other.lanes.owned()))
        if notice:
            self.run(world.notice(other))

    @rule()
    def sweep(self) -> None:
        self.run(self.world.sweep())

    @rule()
    def release_held_groups(self) -> None:
        self.run(self.world.release_all())

    @rule(seconds=st.sampled_from([1.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.world.wait(seconds))

    @rule(group=GROUPS, patient=st.booleans())
    def hold_and_discard(self, group: str, patient: bool) -> None:
        self.run(self.world.hold(group))
        if patient:
            self.run(self.world.be_patient())
        self.run(self.world.discard_head(group))

    @rule(relay=RELAY, group=GROUPS)
    def discard_while_a_call_is_under_way(self, relay: int, group: str) -> None:
        """An operator in a hurry, a relay that dies over its call, a successor, and a call that arrives late."""
        world = self.world
        for _ in range(2):
            self.run(world.write(group, late=False))
        self._begin_call(relay)
        self.run(world.hold(group))
        self.run(world.discard_head(group))
        self.run(world.release_all())
        self.run(world.crash(world.relays[relay]))
        self.carry(relay, [], False, [], True)
        self.broker_processes(0, [], False, [])

    @invariant()
    def each_group_is_first_accepted_in_order(self) -> None:
        log = self.world.broker.delivered if self.release is NextEventAfter.CONFIRMED else self.world.broker.accepted
        for group, accepted in log.items():
            assert accepted == sorted(accepted), f"group {group} out of order: {accepted}"
            skipped = set(range(1, max(accepted, default=0))) - set(accepted) - self.world.discarded[group]
            assert not skipped, f"group {group}: {skipped} overtaken by {accepted}"

    @invariant()
    def what_counts_as_sent_was_acknowledged_and_what_counts_as_published_came_back(self) -> None:
        for row in self.run(self.world.rows()):
            event_id = str(row["event_id"])
            if row["published_at"]:
                assert (row["event_id"], row["republished"]) in self.world.confirmed, "published, and never came back"
            elif row["sent_at"]:
                assert row["republished"] in self.world.broker.acknowledged[event_id], "sent, and never acknowledged"

    def teardown(self) -> None:
        try:
            self.run(self.world.settle())
            self.each_group_is_first_accepted_in_order()
            for group, committed in self.world.committed.items():
                expected = set(committed) - self.world.discarded[group]
                delivered = set(self.world.broker.delivered[group])
                assert expected <= delivered, f"group {group}: {sorted(expected - delivered)} lost"
        finally:
            self.run(self.world.close())


@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("release", list(NextEventAfter))
def test_nothing_is_lost_and_groups_stay_in_order(outbox_database: TestDatabase, release: NextEventAfter) -> None:
    with asyncio.Runner() as runner:
        pool = create_pool(outbox_database.url_for(OUTBOX_RELAY), application_name="model", max_size=4)
        owners = create_pool(outbox_database.url, application_name="model", max_size=8)
        runner.run(_enter(pool, owners))
        parts = {"runner": runner, "pool": pool, "owners": owners, "release": release}
        try:
            search(type("Machine", (RelayMachine,), parts), examples=EXAMPLES, steps=STEPS, shrink=True)
        finally:
            pool.terminate()
            owners.terminate()


async def _enter(*pools: Pool) -> None:
    for pool in pools:
        await pool
