"""The backlog while it is read: answers and records arrive between the beginning of a read and its end."""

from collections import defaultdict
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from event_trio.backoff import Backoff
from event_trio.outbox.limits import DEFAULT_BYTES
from services.relay.publishing.backlog import BATCH_ENTRIES, FRESH_SECONDS, Backlog, PendingEvent
from services.relay.publishing.pending_group import ReadScope

BACKOFF = Backoff(first=1, factor=2, cap=60, jitter=0)
WINDOW = 3
PAUSE = "pause"
OUTCOMES = ["accepted", "failed", "requeue", "isolate", "throttled", "recorded", "cleared", PAUSE]


def event(subject: str, number: int, *, size: int = 100, republished: int = 0) -> PendingEvent:
    return PendingEvent(number, f"{subject}-{number}", subject, 0, b"x", {}, size, republished, sequence=number)


def always(_: int) -> bool:
    return True


class Simulation:
    """A backlog, its outbox, and calls whose events are answered one after the other."""

    def __init__(self, turns: list[str]) -> None:
        self.backlog = Backlog(random=lambda: 0.0)
        self.outbox: dict[str, list[PendingEvent]] = defaultdict(list)
        self.accepted: dict[str, list[int]] = defaultdict(list)
        self._in_flight: list[PendingEvent] = []
        self._unrecorded: list[PendingEvent] = []
        self._turns: Iterator[str] = iter(turns)

    def page(self, scope: ReadScope) -> list[PendingEvent]:
        """What a read with this scope finds."""
        found: list[PendingEvent] = []
        for subject, events in self.outbox.items():
            if subject not in scope.excluded:
                _, last = scope.positions.get(subject, (0, 0))
                found += [each for each in events if each.sequence > last][:WINDOW]
        return found

    def send(self, now: float) -> None:
        """Take batches and send them."""
        while batch := self.backlog.take(always, now):
            assert len(batch) <= BATCH_ENTRIES
            assert len({each.subject for each in batch}) == len(batch)
            assert sum(each.size for each in batch) <= DEFAULT_BYTES
            self._in_flight += batch

    def settle(self, now: float) -> None:
        """Let things happen until it is time for a pause."""
        while (turn := next(self._turns, "")) != PAUSE:
            if turn == "recorded":
                self._record()
            elif turn == "cleared":
                self.backlog.clear()
            elif self._in_flight:
                self._answer(turn or "accepted", now)
            else:
                break
        if not turn:
            self._record()

    def _answer(self, outcome: str, now: float) -> None:
        answered = self._in_flight.pop(0)
        match outcome:
            case "accepted":
                self.accepted[answered.subject].append(answered.id)
                self.backlog.accepted(answered)
                self._unrecorded.append(answered)
            case "failed":
                self.backlog.failed(answered, now, BACKOFF)
            case "requeue":
                self.backlog.requeue(answered)
            case "throttled":
                self.backlog.throttled(answered, now, BACKOFF)
            case _:
                self.backlog.isolate(answered)

    def _record(self) -> None:
        for each in self._unrecorded:
            self.backlog.recorded(each)
            self.outbox[each.subject].remove(each)
        self._unrecorded.clear()


@given(
    events=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 100_000)), max_size=60),
    turns=st.lists(st.sampled_from(OUTCOMES), max_size=200),
    apart=st.sampled_from([0.1, 2.0, 100.0]),
)
def test_whatever_happens_each_group_is_accepted_in_order_and_once(
    events: list[tuple[str, int]], turns: list[str], apart: float
) -> None:
    made, now = Simulation(turns), 0.0
    for number, (subject, size) in enumerate(events, 1):
        made.outbox[subject].append(event(subject, number, size=size))
    for _ in range(2000):
        now += apart
        scope = made.backlog.begin_read(now)
        page = made.page(scope)
        made.settle(now)
        made.backlog.load(page, now, window=WINDOW, scope=scope)
        made.send(now)
        made.settle(now)
        if not any(made.outbox.values()):
            break
    assert not any(made.outbox.values()), "something was never sent"
    for subject, ids in made.accepted.items():
        assert ids == sorted(set(ids)), subject
    counts = made.backlog.counts()
    kept = ("groups", "ready", "blocked", "waiting")
    assert {name: counts[name] for name in kept} == dict.fromkeys(kept, 0)


def test_a_group_continues_with_an_event_that_was_committed_while_the_one_before_was_in_flight() -> None:
    backlog = Backlog()
    first, second = event("a", 1), event("a", 2)
    backlog.load([first], 0.0)
    backlog.take(always, 0.0)
    scope = backlog.begin_read(0.1)
    assert scope.positions == {"a": (1, 1)}
    backlog.load([second], 0.1, scope=scope)
    assert backlog.take(always, 0.1) == [], "the first is still in flight"
    backlog.accepted(first)
    assert backlog.take(always, 0.1) == [second], "without waiting for a record"


def test_what_was_read_behind_an_event_that_failed_meanwhile_is_not_sent() -> None:
    backlog = Backlog()
    first, second = event("a", 1), event("a", 2)
    backlog.load([first], 0.0)
    backlog.take(always, 0.0)
    scope = backlog.begin_read(0.1)
    backlog.failed(first, 0.1, BACKOFF)
    backlog.load([second], 0.1, scope=scope)
    assert backlog.take(always, 0.1) == []
    assert backlog.needs_read


def test_a_read_that_began_before_everything_was_forgotten_adds_nothing() -> None:
    backlog = Backlog()
    scope = backlog.begin_read(0.0)
    backlog.clear()
    assert not backlog.load([event("a", 1)], 0.0, scope=scope)
    assert backlog.take(always, 0.0) == []


def test_a_group_does_not_continue_after_everything_was_forgotten() -> None:
    """The broker may be a new one, and what the old one acknowledged has to go again first."""
    backlog = Backlog()
    first = event("a", 1)
    backlog.load([first], 0.0)
    backlog.take(always, 0.0)
    backlog.accepted(first)
    backlog.clear()
    assert backlog.begin_read(0.1).excluded == ["a"]
    backlog.recorded(first)
    assert backlog.needs_read


def test_a_group_is_read_from_its_head_from_time_to_time() -> None:
    backlog, now, number = Backlog(), 0.0, 1
    while not (scope := backlog.begin_read(now)).excluded:
        assert now <= FRESH_SECONDS
        backlog.load([event("a", number)], now, scope=scope)
        for taken in backlog.take(always, now):
            backlog.accepted(taken)
        number, now = number + 1, now + 0.2
    assert now > FRESH_SECONDS
    assert backlog.blocked, "and is recorded soon"


def test_a_group_with_an_event_that_goes_again_does_not_continue() -> None:
    backlog = Backlog()
    backlog.load([event("a", 1, republished=1)], 0.0)
    backlog.take(always, 0.0)
    assert backlog.begin_read(0.1).excluded == ["a"]


def test_a_group_of_which_a_full_window_was_read_is_read_again_once_it_is_sent() -> None:
    backlog = Backlog()
    backlog.load([event("a", number) for number in (1, 2)], 0.0, window=2)
    for _ in range(2):
        assert not backlog.needs_read
        for taken in backlog.take(always, 0.0):
            backlog.accepted(taken)
    assert backlog.needs_read
