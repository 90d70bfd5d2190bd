"""SIGTERM and SIGINT stop every consumer of a process, and the program gets its own handlers back."""

import asyncio
import os
import signal
import threading

import pytest

from event_trio.consumer.stop_signals import SIGNALS, StopSignals
from event_trio.errors import ConfigurationError


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_stops_all_and_the_handlers_are_restored(number: signal.Signals) -> None:
    received: list[int] = []
    before = signal.signal(number, lambda found, _: received.append(found))
    own = signal.getsignal(number)
    try:
        with StopSignals() as first:
            with StopSignals() as second:
                pass
            with StopSignals() as third:
                os.kill(os.getpid(), number)
                async with asyncio.timeout(5):
                    await asyncio.gather(first.event.wait(), third.event.wait())
        assert not second.event.is_set()
        assert signal.getsignal(number) is own
        os.kill(os.getpid(), number)
        assert received == [number]
    finally:
        signal.signal(number, before)


async def test_outside_the_main_thread_the_error_names_the_parameter() -> None:
    errors: list[str] = []

    async def consume() -> None:
        with pytest.raises(ConfigurationError) as caught, StopSignals():
            pass
        errors.append(str(caught.value))

    thread = threading.Thread(target=lambda: asyncio.run(consume()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "pass stopping=" in errors[0]
