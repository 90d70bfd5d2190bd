"""Backoff, signals, settings, names and the supervisor."""

import asyncio
from typing import Any

import pytest

from event_trio.backoff import Backoff
from event_trio.broker.names import BrokerNames, dead_letters, undelivered
from event_trio.errors import EventRejected, EventTrioError
from event_trio.lifecycle import Supervisor, pause
from event_trio.settings import load, suggest
from event_trio.signals import Signals
from services.relay.settings import RelaySettings
from tests.support.waiting import eventually


def test_backoff_grows_to_its_cap_and_jitter_only_shortens() -> None:
    backoff = Backoff(first=1, factor=2, cap=10, jitter=0.5)
    assert [backoff.delay(attempt, 0.0) for attempt in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 10, 10]
    assert backoff.delay(3, 0.999) == pytest.approx(2.002)


def test_a_backoff_draws_its_own_random_numbers() -> None:
    backoff = Backoff(first=1, factor=2, cap=10, jitter=0.5)
    waits = [backoff.delay(1) for _ in range(100)]
    assert len(set(waits)) > 50
    assert all(0.5 < wait <= 1 for wait in waits)
    assert Backoff(first=1, factor=2, cap=10, jitter=0.5, random=lambda: 0.5).delay(1) == 0.75


@pytest.mark.parametrize("wrong", [{"first": 0}, {"cap": 0.01}, {"factor": 0.5}, {"jitter": 2}])
def test_backoff_validates_its_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Backoff(**wrong)


def test_an_error_without_message_uses_its_docstring() -> None:
    assert str(EventRejected()) == "The event exceeds a limit of the broker, so it was not recorded."
    assert issubclass(EventRejected, EventTrioError)


def test_names_of_topics_and_queues() -> None:
    names = BrokerNames("t1-")
    assert names.topic("order-events") == "t1-order-events.fifo"
    assert names.queue("notification", "order-events") == "t1-notification-order-events.fifo"
    assert names.publish_check("order-events") == "t1-order-events-publish-check.fifo"
    assert dead_letters("q.fifo") == "q-dlq.fifo"
    assert undelivered("q.fifo") == "q-undelivered.fifo"


def test_a_missing_setting_ends_the_process_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("TOPIC", raising=False)
    monkeypatch.setenv("LEASE_SECONDS", "soon")
    with pytest.raises(SystemExit) as left:
        load(RelaySettings)
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "DATABASE_URL is not set" in said
    assert "TOPIC is not set" in said
    assert "LEASE_SECONDS is wrong" in said


def test_a_password_is_in_no_representation_of_the_settings() -> None:
    settings = RelaySettings(database_url="postgresql://u:hunter2@h/d", topic="order-events")
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("db", False)]
)
def test_what_counts_as_loopback(host: str, loopback: bool) -> None:
    settings = RelaySettings(database_url="postgresql://u@h/d", topic="order-events", http_host=host)
    assert settings.listens_on_loopback is loopback


def test_a_misspelt_name_gets_a_suggestion() -> None:
    assert suggest("order.plced", ["order.placed", "order.shipped"]) == "did you mean 'order.placed'?"


async def test_a_wait_sees_earlier_and_later_signals() -> None:
    signals = Signals()
    signals.emit("done", number=1)
    waiting = asyncio.create_task(signals.wait("done", count=2))
    await asyncio.sleep(0)
    signals.emit("other")
    signals.emit("done", number=2)
    assert (await waiting)["number"] == 2


async def test_a_failed_wait_names_the_signals_that_were_seen() -> None:
    signals = Signals()
    signals.emit("other")
    with pytest.raises(TimeoutError, match="other"):
        await signals.wait("done", timeout=0.01)


class Faulty:
    """Raises, then returns, then works."""

    name = "faulty"

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, stopping: asyncio.Event) -> None:
        self.runs += 1
        if self.runs == 1:
            raise RuntimeError("broken")
        if self.runs == 2:
            return
        await stopping.wait()


async def test_a_loop_that_raises_or_returns_is_restarted_and_logged() -> None:
    loop, signals = Faulty(), Signals()
    supervisor = Supervisor([loop], signals=signals)
    await supervisor.start()
    first = await signals.wait("loop.failed")
    assert "broken" in str(first["error"])
    # A page that is open shows this: what it failed with is in the log.
    assert supervisor.unhealthy() == "loops not running: faulty"
    await signals.wait("loop.failed", count=2)

    async def healthy() -> bool:
        return supervisor.unhealthy() is None

    await eventually(healthy)
    await supervisor.stop()
    assert loop.runs == 3


async def test_a_loop_that_exceeds_the_drain_is_cancelled() -> None:
    class Stubborn:
        name = "stubborn"

        async def run(self, stopping: asyncio.Event) -> None:
            await asyncio.Event().wait()

    supervisor = Supervisor([Stubborn()], drain_seconds=0.05)
    await supervisor.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await supervisor.stop()


async def test_a_pause_ends_early_when_asked_to_stop() -> None:
    stopping = asyncio.Event()
    assert not await pause(stopping, 0.01)
    stopping.set()
    assert await pause(stopping, 60)
