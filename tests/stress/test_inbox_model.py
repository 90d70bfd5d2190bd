"""Whatever is delivered, however often, wherever it dies, fails, is deferred or redriven: once in effect, in order.

Searches with Hypothesis over the real pipeline, deferred messages, redrive and pruning on a real Postgres.
`make mutants` plants known mistakes into a copy of the code and expects this very search to find each.
"""

import asyncio
from collections import Counter
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from event_trio.consumer.policies import DeadLetter, FailurePolicy, Rest, Retry, Unit
from event_trio.database.connections import create_engine
from tests.support.consuming import make_effects
from tests.support.databases import TestDatabase
from tests.support.inbox_world import World
from tests.support.model_search import LIMIT_SECONDS
from tests.support.model_search import search as look_for_failures

EXAMPLES = 40
STEPS = 40
GROUPS = st.sampled_from(["a", "b"])
RARELY = st.sampled_from([False, False, False, True])

Sessions = async_sessionmaker[AsyncSession]


class InboxMachine(RuleBasedStateMachine):
    """Rules are what may happen next, invariants what must hold after each step."""

    runner: ClassVar[asyncio.Runner]
    sessions: ClassVar[Sessions]
    owner: ClassVar[asyncpg.Connection]
    policy: ClassVar[FailurePolicy]
    waits: ClassVar[bool]

    def run(self, step: Any) -> Any:
        return self.runner.run(step)

    @initialize(as_data=st.booleans())
    def begin(self, as_data: bool) -> None:
        self.world = World(self.sessions, self.owner, self.policy, as_data)
        self.run(self.world.clear())

    @rule(group=GROUPS, failures=st.sampled_from([0, 0, 0, 1, 2, 3]))
    def send(self, group: str, failures: int) -> None:
        self.world.send(group, failures)

    @rule(group=GROUPS, number=st.integers(0, 5))
    def repeat(self, group: str, number: int) -> None:
        self.world.send_again(group, number)

    @rule(group=GROUPS, count=st.integers(1, 4), crash=RARELY, lose=RARELY)
    def deliver(self, group: str, count: int, crash: bool, lose: bool) -> None:
        for _ in range(count):
            self.run(self.world.deliver(group, crash=crash, lose_acknowledgement=lose))

    @rule(group=GROUPS, failures=st.integers(1, 2))
    def send_and_deliver_a_failing_one_and_its_follower(self, group: str, failures: int) -> None:
        """The usual way into a waiting group in one step, so that a search goes far."""
        self.world.send(group, failures)
        self.world.send(group, 0)
        for _ in range(len(self.world.queues[group])):
            self.run(self.world.deliver(group, crash=False, lose_acknowledgement=False))

    @rule(group=GROUPS)
    def a_third_comes_when_the_first_is_handled_and_the_second_is_due(self, group: str) -> None:
        self.send_and_deliver_a_failing_one_and_its_follower(group, 1)
        self.run(self.world.pass_hours(1.5))
        self.run(self.world.run_due(crash=False))
        self.world.send(group, 0)
        for _ in range(len(self.world.queues[group])):
            self.run(self.world.deliver(group, crash=False, lose_acknowledgement=False))

    @rule(group=GROUPS, hours=st.sampled_from([5.0, 30.0]))
    def one_that_was_handled_comes_again_much_later(self, group: str, hours: float) -> None:
        """Within the time for which the inbox knows it, whatever was pruned meanwhile."""
        self.world.send(group, 0)
        for _ in range(len(self.world.queues[group])):
            self.run(self.world.deliver(group, crash=False, lose_acknowledgement=False))
        self.run(self.world.pass_hours(hours))
        self.run(self.world.prune())
        self.world.send_again(group, -1)
        for _ in range(len(self.world.queues[group])):
            self.run(self.world.deliver(group, crash=False, lose_acknowledgement=False))

    @rule(hours=st.sampled_from([1.5, 5.0, 30.0, 80.0]))
    def wait(self, hours: float) -> None:
        self.run(self.world.pass_hours(hours))

    @rule(crash=RARELY)
    def run_due(self, crash: bool) -> None:
        self.run(self.world.run_due(crash=crash))

    @rule(group=GROUPS)
    def redrive(self, group: str) -> None:
        self.run(self.world.redrive(group))

    @rule(group=GROUPS)
    def discard(self, group: str) -> None:
        self.run(self.world.discard(group))

    @rule()
    def prune(self) -> None:
        self.run(self.world.prune())

    @invariant()
    def each_event_has_its_effect_once(self) -> None:
        counted = Counter(row[0] for row in self.run(self.world.rows("SELECT event_id FROM effect")))
        assert [event for event, count in counted.items() if count > 1] == [], "an effect twice"

    @invariant()
    def each_group_is_in_order_and_what_is_not_is_marked(self) -> None:
        if self.world.pruned:
            return  # what is no longer known cannot be compared
        highest: Counter[object] = Counter()
        for subject, sequence, stale in self.run(
            self.world.rows("SELECT subject, sequence, stale FROM effect ORDER BY id")
        ):
            assert stale == (sequence < highest[subject]), f"{subject} {sequence} after {highest[subject]}: {stale}"
            highest[subject] = max(highest[subject], sequence)

    @invariant()
    def nothing_passes_what_its_group_waits_for(self) -> None:
        passed = self.run(
            self.world.rows(
                "SELECT d.event_id FROM deferred_message AS d JOIN effect AS e ON e.subject = d.message_group"
                " AND e.sequence > d.sequence WHERE d.status <> 'dead'"
            )
        )
        assert not self.waits or {row[0] for row in passed} <= self.world.redriven

    @invariant()
    def the_inbox_says_what_the_rows_say(self) -> None:
        said = "CASE WHEN d.status = 'dead' THEN 'dead_letter' ELSE 'deferred' END"
        differing = self.run(
            self.world.rows(
                "SELECT d.event_id, p.outcome FROM deferred_message AS d JOIN processed_message AS p"
                f" USING (consumer, event_id) WHERE p.outcome <> {said} AND d.attempts > 0"
            )
        )
        assert differing == []

    def teardown(self) -> None:
        world = self.world
        self.run(world.settle())
        self.each_event_has_its_effect_once()
        effects = {row[0] for row in self.run(world.rows("SELECT event_id FROM effect"))}
        left = {row[0] for row in self.run(world.rows("SELECT event_id FROM deferred_message WHERE status = 'dead'"))}
        lost = set(world.sent) - effects - left - world.discarded
        assert not lost, f"{len(lost)} lost"


@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (Retry(attempts=2, delay=1, unit=Unit.HOURS, rest=Rest.WAIT), True),
        (Retry(attempts=2, delay=1, unit=Unit.HOURS, rest=Rest.PASS), False),
        (Retry(attempts=2, delay=1, unit=Unit.HOURS, then=DeadLetter(Rest.WAIT)), True),
    ],
    ids=["waits", "passes", "dead letters hold"],
)
async def test_once_in_effect_in_order_and_nothing_lost(
    notifications_database: TestDatabase, policy: FailurePolicy, waits: bool
) -> None:
    await make_effects(notifications_database)
    await asyncio.to_thread(search, notifications_database, policy, waits)


def search(database: TestDatabase, policy: FailurePolicy, waits: bool) -> None:
    with asyncio.Runner() as runner:
        engine = create_engine(database.url_for("notification_api"), application_name="model")
        owner = runner.run(asyncpg.connect(database.url))
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        parts = {"runner": runner, "sessions": sessions, "owner": owner, "policy": policy, "waits": waits}
        try:
            # Unshrunk: what fails is found in seconds, and shrinking it on a database takes many minutes.
            look_for_failures(type("Machine", (InboxMachine,), parts), examples=EXAMPLES, steps=STEPS, shrink=False)
        finally:
            runner.run(owner.close())
            runner.run(engine.dispose())
