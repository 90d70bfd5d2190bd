"""Groups side by side, the messages of a group one after the other."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from event_trio.consumer.sources.in_flight import InFlightMessages

NAMES = st.sampled_from("abcdef")
CONCURRENCY = 3
CAPACITY = 12


def filled(*items: str, concurrency: int = 2, isolated: frozenset[str] = frozenset()) -> InFlightMessages[str]:
    """Groups with items like `a1`, of group `a`."""
    groups = InFlightMessages[str](concurrency=concurrency, capacity=100)
    for item in items:
        groups.add(item[0], item, isolated=item in isolated)
    return groups


def test_groups_run_side_by_side_and_each_in_order() -> None:
    groups = filled("a1", "a2", "b1")
    assert groups.take() == ("a", "a1")
    assert groups.take() == ("b", "b1")
    groups.finish("b")
    assert groups.take() is None
    groups.finish("a")
    assert groups.take() == ("a", "a2")


def test_a_waiting_group_holds_no_slot_and_keeps_its_order() -> None:
    groups = filled("a1", "a2", "b1", "c1", concurrency=1)
    groups.take()
    groups.wait("a", due=10.0)
    assert groups.take() == ("b", "b1")
    assert groups.waiting == 2
    groups.finish("b")
    groups.wake(9.9)
    assert groups.take() == ("c", "c1")
    groups.finish("c")
    assert groups.take() is None
    assert groups.next_due() == 10.0
    groups.wake(10.0)
    assert groups.take() == ("a", "a1")
    groups.finish("a")
    assert groups.take() == ("a", "a2")


def test_a_message_alone_waits_for_the_others_and_is_not_overtaken() -> None:
    groups = filled("a1", "b1", "c1", concurrency=3, isolated=frozenset({"b1"}))
    assert groups.take() == ("a", "a1")
    assert groups.take() is None
    groups.finish("a")
    assert groups.take() == ("b", "b1")
    assert groups.take() is None
    groups.finish("b")
    assert groups.take() == ("c", "c1")


def test_a_dropped_group_is_forgotten_as_a_whole() -> None:
    groups = filled("a1", "a2", "b1")
    groups.take()
    with pytest.raises(ValueError, match="runs"):
        groups.drop("a")
    groups.wait("a", due=5.0)
    assert groups.drop("a") == ("a1", "a2")
    assert groups.next_due() is None
    assert groups.held == 1
    groups.add("a", "a1")
    groups.wake(6.0)
    assert groups.take() == ("b", "b1")
    assert groups.take() == ("a", "a1")
    assert groups.take() is None


def test_there_is_only_so_much_room() -> None:
    groups = InFlightMessages[str](concurrency=1, capacity=1)
    groups.add("a", "a1")
    assert groups.room == 0
    with pytest.raises(ValueError, match="in memory"):
        groups.add("b", "b1")
    with pytest.raises(ValueError, match="capacity"):
        InFlightMessages[str](concurrency=2, capacity=1)


@given(st.lists(NAMES, max_size=60), st.integers(1, 5))
def test_no_group_starves(names: list[str], concurrency: int) -> None:
    """A ready group runs after at most one message of every other group."""
    groups = InFlightMessages[int](concurrency=concurrency, capacity=100)
    for number, name in enumerate(names):
        groups.add(name, number)
    passed: dict[str, int] = defaultdict(int)
    left = {name: names.count(name) for name in names}
    while taken := groups.take():
        name, _ = taken
        assert passed[name] < len(set(names)) * 2
        passed[name] = 0
        left[name] -= 1
        for other, count in left.items():
            if other != name and count:
                passed[other] += 1
        groups.finish(name)
    assert not any(left.values())
    assert groups.room == 100


class GroupsMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order, a group's messages are finished in the order in which they were added."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = InFlightMessages[tuple[str, int, bool]](concurrency=CONCURRENCY, capacity=CAPACITY)
        self.queues: dict[str, list[tuple[str, int, bool]]] = defaultdict(list)
        self.running: dict[str, tuple[str, int, bool]] = {}
        self.due: dict[str, float] = {}
        self.number = 0
        self.now = 0.0

    @rule(name=NAMES, isolated=st.booleans())
    def add(self, name: str, isolated: bool) -> None:
        if self.groups.room:
            self.number += 1
            self.queues[name].append((name, self.number, isolated))
            self.groups.add(name, (name, self.number, isolated), isolated=isolated)

    @rule()
    def take(self) -> None:
        taken = self.groups.take()
        ready = [name for name, queue in self.queues.items() if queue and name not in self.running | self.due]
        if taken is None:
            assert not ready or len(self.running) > 0
            return
        name, item = taken
        assert name in ready
        assert item == self.queues[name][0]
        if item[2]:
            assert not self.running
        self.running[name] = item
        assert len(self.running) <= CONCURRENCY

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        self.groups.finish(name)
        assert self.queues[name].pop(0) == self.running.pop(name)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), seconds=st.integers(0, 5))
    def fail(self, data: st.DataObject, seconds: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        self.groups.wait(name, self.now + seconds)
        del self.running[name]
        self.due[name] = self.now + seconds

    @rule(seconds=st.integers(0, 3))
    def wake(self, seconds: int) -> None:
        self.now += seconds
        self.groups.wake(self.now)
        self.due = {name: due for name, due in self.due.items() if due > self.now}

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        idle = sorted(name for name, queue in self.queues.items() if queue and name not in self.running)
        if idle:
            name = data.draw(st.sampled_from(idle))
            assert list(self.groups.drop(name)) == self.queues.pop(name)
            self.due.pop(name, None)

    @invariant()
    def counts(self) -> None:
        assert self.groups.held == sum(map(len, self.queues.values()))
        assert self.groups.running == len(self.running)
        assert self.groups.waiting == sum(len(self.queues[name]) for name in self.due)
        assert self.groups.next_due() == (min(self.due.values()) if self.due else None)
        assert all(list(self.groups.of(name)) == self.queues[name] for name in "abcdef")
        assert sorted(self.groups.items()) == sorted(item for queue in self.queues.values() for item in queue)


GroupsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestGroups = GroupsMachine.TestCase
