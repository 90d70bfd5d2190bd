"""The backlog: heads of groups only, groups in turn, full batches, and nothing behind a failure."""

from event_trio.backoff import Backoff
from event_trio.outbox.limits import DEFAULT_BYTES
from services.relay.publishing.backlog import FRESH_SECONDS, Backlog, NextEventAfter, PendingEvent

NOW = 0.0
BACKOFF = Backoff(first=1, factor=2, cap=60, jitter=0)


def event(subject: str, number: int, *, size: int = 100, lane: int = 0) -> PendingEvent:
    return PendingEvent(number, f"{subject}-{number}", subject, lane, b"x", {}, size, sequence=number)


def always(_: int) -> bool:
    return True


def in_memory(backlog: Backlog, now: float) -> dict[str, tuple[int, int] | None]:
    """What a read knows of the groups in memory: nothing may be read, or only what is behind these sequences."""
    scope = backlog.begin_read(now)
    return {**dict.fromkeys(scope.excluded), **scope.positions}


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
    assert in_memory(backlog, NOW) == {"a": None}
    backlog.recorded(first)
    assert in_memory(backlog, NOW) == {}


def test_of_a_group_only_later_events_are_read_until_its_acknowledgements_are_recorded() -> None:
    backlog = Backlog()
    only = event("a", 1)
    backlog.load([only], NOW)
    backlog.take(always, NOW)
    backlog.accepted(only)
    assert in_memory(backlog, NOW) == {"a": (1, 1)}
    assert backlog.busy(0)
    backlog.recorded(only)
    assert in_memory(backlog, NOW) == {}
    assert not backlog.busy(0)


def test_a_failure_holds_back_its_own_group_and_no_other() -> None:
    backlog = Backlog()
    bad = event("a", 1)
    backlog.load([bad, event("a", 2), event("b", 3), event("b", 4)], NOW)
    backlog.take(always, NOW)
    backlog.failed(bad, 10.0, BACKOFF)
    backlog.accepted(event("b", 3))
    assert [e.subject for e in backlog.take(always, NOW)] == ["b"]
    assert "a" in in_memory(backlog, 10.5)
    assert backlog.next_retry_at(10.5) == 11.0
    assert "a" not in in_memory(backlog, 11.0)


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


def test_groups_that_fail_together_are_not_tried_again_together() -> None:
    numbers = iter([0.0, 0.5])
    backlog = Backlog(random=lambda: next(numbers))
    bad = [event("a", 1), event("b", 1)]
    backlog.load(bad, NOW)
    backlog.take(always, NOW)
    for each in bad:
        backlog.failed(each, NOW, Backoff(first=1.0, factor=2.0, cap=8.0, jitter=0.5))
    assert backlog.next_retry_at(NOW) == NOW + 0.75
    assert backlog.next_retry_at(NOW + 0.8) == NOW + 1.0


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
    assert in_memory(backlog, NOW) == {"b": None}  # in flight: its acknowledgement is still to be recorded


def test_events_in_memory_for_too_long_are_read_again() -> None:
    backlog = Backlog()
    backlog.load([event("a", 1), event("a", 2)], NOW)
    assert backlog.take(always, NOW + FRESH_SECONDS + 0.1) == []
    assert in_memory(backlog, NOW) == {}


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


def test_a_batch_has_at_most_the_bytes_that_the_topic_accepts() -> None:
    """The limit of a message is the limit of a batch, too (AWS: `MaximumMessageSize`)."""
    small, large = Backlog(batch_bytes=2048), Backlog(batch_bytes=1024 * 1024)
    for backlog, expected in ((small, [2]), (large, [4])):
        backlog.load([event(subject, n, size=1000) for n, subject in enumerate("abcd", 1)], NOW)
        assert [len(backlog.take(lambda lane: True, NOW))] == expected
