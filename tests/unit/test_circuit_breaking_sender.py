"""An outage of the sender costs no notice an attempt, and one notice does not close the sender for the others."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from event_trio.envelope import uuid7
from event_trio.failure_attribution import CHANCES
from services.notification.domain import MessageText, OutboundMessage
from services.notification.senders.circuit_breaking import CircuitBreakingSender
from services.notification.senders.sender import SenderUnavailable, SendFailed, SendRejected


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds


class Scripted:
    """A sender that raises what it is told to."""

    channel = "scripted"

    def __init__(self, error: Callable[[OutboundMessage], BaseException | None]) -> None:
        self.error = error
        self.sent: list[OutboundMessage] = []

    async def send(self, notice: OutboundMessage) -> None:
        error = self.error(notice)
        if error is not None:
            raise error
        self.sent.append(notice)


def notice(address: str = "ada@example.com") -> OutboundMessage:
    return OutboundMessage(key=uuid7(), address=address, text=MessageText(locale="en", subject="s", body="b\n"))


@pytest.mark.parametrize("may_be_message", [False, True])
async def test_an_outage_of_eighteen_minutes_costs_the_only_notice_no_attempt(may_be_message: bool) -> None:
    """At low traffic each repetition is a probe: the notice comes again whenever it is told to."""
    time, sender = Time(), Scripted(lambda _: SenderUnavailable(1.0, "down", may_be_message=may_be_message))
    guarded, only, asked = CircuitBreakingSender(sender, time), notice(), 0
    while time.seconds < 18 * 60:
        with pytest.raises(SenderUnavailable) as caught:
            await guarded.send(only)
        assert 1.0 <= caught.value.seconds <= 60.0
        time.seconds += caught.value.seconds
        asked += 1
    assert 18 <= asked < 60
    sender.error = lambda _: None
    await guarded.send(only)
    assert sender.sent == [only]


@pytest.mark.parametrize("error", [SendRejected("never"), SendFailed("not now")])
async def test_what_is_said_about_one_notice_closes_the_sender_for_nobody(error: Exception) -> None:
    time, bad = Time(), "a@[b"
    sender = Scripted(lambda sent: error if sent.address == bad else None)
    guarded = CircuitBreakingSender(sender, time)
    for _ in range(20):
        with pytest.raises(type(error)):
            await guarded.send(notice(bad))
    await guarded.send(notice())
    assert len(sender.sent) == 1


async def test_a_notice_over_which_the_sender_fails_while_others_go_through_pays_for_it_itself() -> None:
    """A server that hangs up over one mail is not down; that one must come to an end, and leave the rest alone."""
    time, bad = Time(), notice("poison@example.com")
    sender = Scripted(lambda sent: SenderUnavailable(1.0, "hung up", may_be_message=True) if sent == bad else None)
    guarded = CircuitBreakingSender(sender, time)
    for attempt in range(20):
        with pytest.raises(SenderUnavailable if attempt <= CHANCES else SendFailed):
            await guarded.send(bad)
        await guarded.send(notice())
    assert len(sender.sent) == 20
    for _ in range(6):
        with contextlib.suppress(SenderUnavailable, SendFailed):
            await guarded.send(bad)
    await guarded.send(notice())


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), ssl.SSLError(1, "no")])
async def test_a_connection_that_fails_is_an_outage_whoever_tells_it(error: OSError) -> None:
    guarded = CircuitBreakingSender(Scripted(lambda _: error), Time())
    for _ in range(6):
        with pytest.raises(SenderUnavailable) as caught:
            await guarded.send(notice())
    assert caught.value.seconds >= 1.0


async def test_an_answer_about_a_notice_ends_the_outage() -> None:
    time, sender = Time(), Scripted(lambda _: SenderUnavailable(1.0, "down"))
    guarded = CircuitBreakingSender(sender, time)
    for _ in range(6):
        with pytest.raises(SenderUnavailable) as caught:
            await guarded.send(notice())
        time.seconds += caught.value.seconds
    sender.error = lambda _: SendRejected("no such user")
    with pytest.raises(SendRejected):
        await guarded.send(notice())
    sender.error = lambda _: None
    await guarded.send(notice())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError("a mistake")])
async def test_a_call_that_comes_to_nothing_says_nothing_and_leaves_the_probe_to_the_next(error: BaseException) -> None:
    time, sender = Time(), Scripted(lambda _: error)
    guarded = CircuitBreakingSender(sender, time)
    for _ in range(20):
        with pytest.raises(type(error)):
            await guarded.send(notice())
    sender.error = lambda _: SenderUnavailable(1.0, "down")
    for _ in range(5):
        with pytest.raises(SenderUnavailable) as caught:
            await guarded.send(notice())
    time.seconds += caught.value.seconds
    sender.error = lambda _: error
    with pytest.raises(type(error)):
        await guarded.send(notice())
    sender.error = lambda _: None
    await guarded.send(notice())
