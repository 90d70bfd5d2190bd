"""Completed messages are deleted at once and in batches, and failed deletes are repeated."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from event_trio.broker.queue import BATCH, Message, Queue, RejectedMessage
from event_trio.clock import SystemClock
from event_trio.consumer.metrics import ConsumerMetrics
from event_trio.consumer.sources.acknowledgements import Acknowledgements
from event_trio.errors import BrokerUnavailable
from event_trio.signals import Signals
from tests.support.waiting import eventually

FOREVER = float("inf")


class HeldQueue(Queue):
    """Each delete waits until it is released, and then answers as configured."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.refuse: dict[str, str] = {}
        self.fail = 0
        self.let_go = asyncio.Event()

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        asked = list(messages)
        self.calls.append([message.message_id for message in asked])
        await self.let_go.wait()
        if self.fail:
            self.fail -= 1
            raise BrokerUnavailable("throttled")
        return [
            refused(message, self.refuse[message.message_id]) for message in asked if message.message_id in self.refuse
        ]


def refused(message: Message, code: str) -> RejectedMessage:
    return RejectedMessage(**{each.name: getattr(message, each.name) for each in fields(Message)}, code=code)


def message(name: str) -> Message:
    return Message(name, f"handle-{name}", "{}", "group", name, "1", 1, datetime.now(UTC))


@dataclass
class Parts:
    """The part and what is around it."""

    queue: HeldQueue = field(default_factory=HeldQueue)
    clock: SystemClock = field(default_factory=SystemClock)
    signals: Signals = field(default_factory=Signals)
    busy: bool = False

    def __post_init__(self) -> None:
        metrics = ConsumerMetrics(CollectorRegistry())
        self.part = Acknowledgements(
            self.queue, metrics, self.clock, self.signals, busy=lambda: self.busy, on_done=lambda: None
        )

    def add(self, *names: str, valid_for: float = FOREVER, last: bool = True) -> None:
        for name in names:
            self.part.add(message(name), valid_until=self.clock.monotonic() + valid_for, last=last)
        self.part.nudge()

    async def called(self, *calls: list[str]) -> None:
        async def so() -> bool:
            assert self.queue.calls == list(calls)
            return True

        await eventually(so)

    async def gone(self, name: str) -> None:
        await self.signals.wait("consumer.acknowledged", where=lambda facts: facts["message_id"] == name)


@pytest.fixture
async def tested(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    monkeypatch.setattr("event_trio.consumer.sources.acknowledgements.LINGER_SECONDS", 600.0)
    made = Parts()
    running = asyncio.create_task(made.part.run())
    yield made
    running.cancel()
    await asyncio.wait([running])


async def test_messages_completed_during_a_call_form_the_next_batch(tested: Parts) -> None:
    tested.add("a")
    await tested.called(["a"])
    tested.add("b")
    tested.add("c")
    tested.queue.let_go.set()
    await tested.called(["a"], ["b", "c"])


async def test_a_full_batch_waits_for_no_other_call(tested: Parts) -> None:
    tested.add("a")
    await tested.called(["a"])
    full = [f"b{number}" for number in range(BATCH)]
    tested.add(*full)
    await tested.called(["a"], full)


async def test_a_call_that_hangs_holds_up_no_other_for_long(tested: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("event_trio.consumer.sources.acknowledgements.LINGER_SECONDS", 0.05)
    tested.add("a")
    await tested.called(["a"])
    tested.add("b")
    await tested.called(["a"], ["b"])


async def test_while_busy_a_batch_is_filled(tested: Parts) -> None:
    tested.queue.let_go.set()
    tested.busy = True
    tested.add("a", "b")
    with pytest.raises(AssertionError):
        await eventually(lambda: called(tested), timeout=0.2)
    tested.busy = False
    tested.part.nudge()
    await tested.called(["a", "b"])


async def called(tested: Parts) -> bool:
    return bool(tested.queue.calls)


async def test_a_message_with_later_ones_of_its_group_is_deleted_with_the_last_of_them(tested: Parts) -> None:
    """The broker gives out nothing of the group before all are deleted."""
    tested.queue.let_go.set()
    tested.add("a", "b", last=False)
    with pytest.raises(AssertionError):
        await eventually(lambda: called(tested), timeout=0.2)
    tested.add("c")
    await tested.called(["a", "b", "c"])


async def test_a_failed_delete_is_repeated_unless_its_receipt_handle_is_stale(tested: Parts) -> None:
    tested.queue.let_go.set()
    tested.queue.fail = 2
    tested.queue.refuse = {"busy": "InternalError", "stale": "ReceiptHandleIsInvalid"}
    tested.add("good", "busy", "stale")
    await tested.gone("good")
    await eventually(lambda: asked(tested, 5))
    tested.queue.refuse = {}
    await tested.gone("busy")
    assert [sorted(call) for call in tested.queue.calls[:3]] == [["busy", "good", "stale"]] * 3
    assert {name for call in tested.queue.calls[3:] for name in call} == {"busy"}
    assert tested.part.pending == 0


async def asked(tested: Parts, count: int) -> bool:
    return len(tested.queue.calls) >= count


async def test_a_receipt_handle_that_holds_no_more_is_not_used_again(tested: Parts) -> None:
    """The message may be somebody else's by then."""
    tested.queue.let_go.set()
    tested.queue.fail = 1
    tested.add("short", valid_for=0.0)
    tested.add("long")
    await tested.gone("long")
    assert [call for call in tested.queue.calls if "short" in call] == [["short", "long"]]
    assert tested.part.pending == 0


async def test_a_flush_ends_in_time_whatever_the_broker_does(tested: Parts) -> None:
    tested.queue.let_go.set()
    tested.queue.fail = 1000
    tested.add("a")
    await asyncio.wait_for(tested.part.flush(within=0.5), 10)
    assert tested.part.pending == 1


@pytest.mark.parametrize(
    ("code", "stale"),
    [
        ("ReceiptHandleIsInvalid", True),
        ("AWS.SimpleQueueService.ReceiptHandleIsInvalid", True),
        ("com.amazonaws.sqs#ReceiptHandleIsInvalid", True),
        ("InvalidParameterValue", True),
        ("InternalError", False),
        ("RequestThrottled", False),
        ("ServiceUnavailable", False),
        ("", False),
    ],
)
def test_which_errors_are_permanent(code: str, stale: bool) -> None:
    assert refused(message("m"), code).is_stale is stale
