"""An outage of the sender costs no attempt, and one message does not stop the others."""

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
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds


class Scripted:
    """A sender that raises the errors of the test."""

    channel = "scripted"

    def __init__(self, error: Callable[[OutboundMessage], BaseException | None]) -> None:
        self.error = error
        self.sent: list[OutboundMessage] = []

    async def send(self, outbound: OutboundMessage) -> None:
        error = self.error(outbound)
        if error is not None:
            raise error
        self.sent.append(outbound)


def outbound(address: str = "ada@example.com") -> OutboundMessage:
    return OutboundMessage(key=uuid7(), address=address, text=MessageText(locale="en", subject="s", body="b\n"))


@pytest.mark.parametrize("may_be_message", [False, True])
async def test_a_long_outage_costs_the_only_message_no_attempt(may_be_message: bool) -> None:
    """At low traffic each retry is a probe: the message is sent again after the wait that the error names."""
    time, sender = Time(), Scripted(lambda _: SenderUnavailable(1.0, "down", may_be_message=may_be_message))
    guarded, only, asked = CircuitBreakingSender(sender, time), outbound(), 0
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
async def test_rejections_of_one_message_do_not_open_the_breaker(error: Exception) -> None:
    time, bad = Time(), "a@[b"
    sender = Scripted(lambda sent: error if sent.address == bad else None)
    guarded = CircuitBreakingSender(sender, time)
    for _ in range(20):
        with pytest.raises(type(error)):
            await guarded.send(outbound(bad))
    await guarded.send(outbound())
    assert len(sender.sent) == 1


async def test_repeated_failures_of_one_message_are_attributed_to_it() -> None:
    """A server that closes the connection for one mail is available; the mail fails, and does not stop others."""
    time, bad = Time(), outbound("poison@example.com")
    sender = Scripted(lambda sent: SenderUnavailable(1.0, "hung up", may_be_message=True) if sent == bad else None)
    guarded = CircuitBreakingSender(sender, time)
    for attempt in range(20):
        with pytest.raises(SenderUnavailable if attempt <= CHANCES else SendFailed):
            await guarded.send(bad)
        await guarded.send(outbound())
    assert len(sender.sent) == 20
    for _ in range(6):
        with contextlib.suppress(SenderUnavailable, SendFailed):
            await guarded.send(bad)
    await guarded.send(outbound())


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), ssl.SSLError(1, "no")])
async def test_a_failed_connection_is_an_outage(error: OSError) -> None:
    guarded = CircuitBreakingSender(Scripted(lambda _: error), Time())
    for _ in range(6):
        with pytest.raises(SenderUnavailable) as caught:
            await guarded.send(outbound())
    assert caught.value.seconds >= 1.0


async def test_a_response_about_a_message_closes_the_breaker() -> None:
    time, sender = Time(), Scripted(lambda _: SenderUnavailable(1.0, "down"))
    guarded = CircuitBreakingSender(sender, time)
    for _ in range(6):
        with pytest.raises(SenderUnavailable) as caught:
            await guarded.send(outbound())
        time.seconds += caught.value.seconds
    sender.error = lambda _: SendRejected("no such user")
    with pytest.raises(SendRejected):
        await guarded.send(outbound())
    sender.error = lambda _: None
    await guarded.send(outbound())


@pytest.mark.parametrize("error", [asyncio.CancelledError(), RuntimeError("a mistake")])
async def test_a_cancelled_call_leaves_the_probe_to_the_next_call(error: BaseException) -> None:
    time, sender = Time(), Scripted(lambda _: error)
    guarded = CircuitBreakingSender(sender, time)
    for _ in range(20):
        with pytest.raises(type(error)):
            await guarded.send(outbound())
    sender.error = lambda _: SenderUnavailable(1.0, "down")
    for _ in range(5):
        with pytest.raises(SenderUnavailable) as caught:
            await guarded.send(outbound())
    time.seconds += caught.value.seconds
    sender.error = lambda _: error
    with pytest.raises(type(error)):
        await guarded.send(outbound())
    sender.error = lambda _: None
    await guarded.send(outbound())
