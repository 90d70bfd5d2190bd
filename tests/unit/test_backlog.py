"""The backlog: heads of groups only, groups in turn, full batches, and nothing behind a failure."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from event_trio.backoff import Backoff
from event_trio.outbox.limits import DEFAULT_BYTES
from services.relay.publishing.backlog import BATCH_ENTRIES, FRESH_SECONDS, Backlog, NextEventAfter, PendingEvent

NOW = 0.0
BACKOFF = Backoff(first=1, factor=2, cap=60, jitter=0)


def event(subject: str, number: int, *, size: int = 100, lane: int = 0) -> PendingEvent:
    return PendingEvent(number, f"{subject}-{number}", subject, lane, b"x", {}, size)


def always(_: int) -> bool:
    return True


def test_a_batch_holds_one_event_of_a_group() -> None:
    backlog = Backlog()
    backlog.load([event("a", 1), event("a", 2), event("b", 3)], NOW)
    assert [e.id for e in backlog.take(always, NOW)] == [1, 3]
    assert backlog.take(always, NOW) == []


def test_the_next_event_of_a_group_is_sent_after_the_acknowledgement_before_it_is_recorded() -> None:
    backlog = Backlog()
    first, second = event("a", 1), event("a", 2)
    backlog.load([first, second], NOW)
    backlog.take(always, NOW)
    backlog.accepted(first)
    assert backlog.take(always, NOW) == [second]


def test_with_next_event_after_confirmed_the_next_event_is_read_again() -> None:
    backlog = Backlog(NextEventAfter.CONFIRMED)
    first = event("a", 1)
    backlog.load([first, event("a", 2)], NOW)
    backlog.take(always, NOW)
    backlog.accepted(first)
    assert backlog.take(always, NOW) == []
    backlog.recorded(first)
    assert backlog.excluded(0.0) == []


def test_a_group_is_excluded_from_reads_until_its_acknowledgements_are_recorded() -> None:
    backlog = Backlog()
    only = event("a", 1)
    backlog.load([only], NOW)
    backlog.take(always, NOW)
    backlog.accepted(only)
    assert backlog.excluded(0.0) == ["a"]
    assert backlog.busy(0)
    backlog.recorded(only)
    assert backlog.excluded(0.0) == []
    assert not backlog.busy(0)


def test_a_failure_holds_back_its_own_group_and_no_other() -> None:
    backlog = Backlog()
    bad = event("a", 1)
    backlog.load([bad, event("a", 2), event("b", 3), event("b", 4)], NOW)
    backlog.take(always, NOW)
    backlog.failed(bad, 10.0, BACKOFF)
    backlog.accepted(event("b", 3))
    assert [e.subject for e in backlog.take(always, NOW)] == ["b"]
    assert "a" in backlog.excluded(10.5)
    assert backlog.next_retry_at(10.5) == 11.0
    assert "a" not in backlog.excluded(11.0)


def test_the_delay_grows_with_each_failure_and_restarts_after_a_success() -> None:
    backlog = Backlog()
    bad = event("a", 1)
    for now, wait in ((0.0, 1.0), (10.0, 2.0), (20.0, 4.0)):
        backlog.load([bad], NOW)
        backlog.take(always, NOW)
        backlog.failed(bad, now, BACKOFF)
        assert backlog.next_retry_at(now) == now + wait
    backlog.load([bad], NOW)
    backlog.take(always, NOW)
    backlog.accepted(bad)
    backlog.recorded(bad)
    assert backlog.backing_off == 0


def test_an_isolated_event_is_sent_in_a_batch_of_one() -> None:
    backlog = Backlog()
    backlog.load([event("a", 1), event("b", 2), event("c", 3)], NOW)
    for taken in backlog.take(always, NOW):
        backlog.isolate(taken)
    batches = [[e.id for e in backlog.take(always, NOW)] for _ in range(3)]
    assert sorted(batches) == [[1], [2], [3]]


def test_a_batch_stays_within_its_bytes_and_an_event_that_did_not_fit_is_first_in_the_next() -> None:
    backlog = Backlog()
    backlog.load([event("a", 1, size=DEFAULT_BYTES - 100), event("b", 2, size=200), event("c", 3, size=100)], NOW)
    assert [e.id for e in backlog.take(always, NOW)] == [1, 3]
    assert [e.id for e in backlog.take(always, NOW)] == [2]


def test_events_of_unusable_lanes_wait_and_events_of_lost_lanes_are_dropped() -> None:
    backlog = Backlog()
    backlog.load([event("a", 1, lane=1), event("b", 2, lane=2)], NOW)
    assert [e.id for e in backlog.take(lambda lane: lane == 2, NOW)] == [2]
    backlog.drop([1, 2])
    assert backlog.waiting == 0
    assert backlog.excluded(0.0) == ["b"]  # in flight: its acknowledgement is still to be recorded


def test_events_in_memory_for_too_long_are_read_again() -> None:
    backlog = Backlog()
    backlog.load([event("a", 1), event("a", 2)], NOW)
    assert backlog.take(always, NOW + FRESH_SECONDS + 0.1) == []
    assert backlog.excluded(NOW) == []


def test_a_hot_group_starves_no_other() -> None:
    backlog = Backlog()
    hot = [event("hot", number) for number in range(1, 1001)]
    cold = [event(f"cold-{number}", 2000 + number) for number in range(30)]
    backlog.load([*hot, *cold], NOW)
    sent: list[PendingEvent] = []
    for _ in range(4):
        for taken in backlog.take(always, NOW):
            backlog.accepted(taken)
            sent.append(taken)
    assert {e.id for e in cold} <= {e.id for e in sent}
    assert [e.id for e in sent if e.subject == "hot"] == [1, 2, 3, 4][: len(sent) - len(cold)]


@given(
    events=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 100_000)), max_size=60),
    outcomes=st.lists(st.sampled_from(["accepted", "failed", "requeue", "isolate"]), min_size=1, max_size=200),
)
def test_whatever_happens_each_group_is_first_accepted_in_order(
    events: list[tuple[str, int]], outcomes: list[str]
) -> None:
    outbox: dict[str, list[PendingEvent]] = defaultdict(list)
    for number, (subject, size) in enumerate(events):
        outbox[subject].append(event(subject, number, size=size))
    backlog, now = Backlog(random=lambda: 0.0), 0.0
    accepted: dict[str, list[int]] = defaultdict(list)
    turn = iter(outcomes)
    for _ in range(2000):
        now += 100.0
        known = set(backlog.excluded(now))
        backlog.load((e for subject in outbox for e in outbox[subject][:3] if subject not in known), now)
        batch = backlog.take(always, now)
        assert len(batch) <= BATCH_ENTRIES
        assert len({e.subject for e in batch}) == len(batch)
        assert sum(e.size for e in batch) <= DEFAULT_BYTES
        for taken in batch:
            match next(turn, "accepted"):
                case "accepted":
                    accepted[taken.subject].append(taken.id)
                    backlog.accepted(taken)
                    outbox[taken.subject].remove(taken)
                    backlog.recorded(taken)
                case "failed":
                    backlog.failed(taken, now, BACKOFF)
                case "requeue":
                    backlog.requeue(taken)
                case "isolate":
                    backlog.isolate(taken)
        if not any(outbox.values()):
            break
    assert not any(outbox.values()), "something was never sent"
    for subject, ids in accepted.items():
        assert ids == sorted(ids), subject


def test_a_batch_has_at_most_the_bytes_that_the_topic_accepts() -> None:
    """The limit of a message is the limit of a batch, too (AWS: `MaximumMessageSize`)."""
    small, large = Backlog(batch_bytes=2048), Backlog(batch_bytes=1024 * 1024)
    for backlog, expected in ((small, [2]), (large, [4])):
        backlog.load([event(subject, n, size=1000) for n, subject in enumerate("abcd", 1)], NOW)
        assert [len(backlog.take(lambda lane: True, NOW))] == expected
