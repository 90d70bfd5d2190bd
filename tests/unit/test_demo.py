"""Percentiles, journeys and ports of the demo."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tools import declared_services
from tools.demo.display import HEADING, _row
from tools.demo.errors import DemoFailed
from tools.demo.journey import Journey
from tools.demo.latency import percentile
from tools.demo.ports import Ports
from tools.demo.system import System

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACED = Journey("ada", "order", "event", "order.placed", 1, START, None, None, None, None)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(200, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (100, 198, 200)
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 50)


def test_a_journey_is_complete_when_published_and_processed() -> None:
    published = replace(PLACED, sent=START, published=START)
    assert not published.is_complete
    assert replace(published, processed=START).is_complete
    assert not replace(PLACED, processed=START).is_complete


def test_a_long_customer_id_leaves_the_columns_where_they_are() -> None:
    for customer, shown in (("ada", "ada      order"), ("customer-1", "custome… order")):
        row = _row(replace(PLACED, customer=customer))
        assert row.startswith(shown)
        assert row.index("order.placed") == HEADING.index("event")


def test_an_event_without_subscribers_is_complete_when_published() -> None:
    assert replace(PLACED, type="order.held", sent=START, published=START).is_complete


def test_the_total_is_from_recorded_to_processed() -> None:
    assert PLACED.total_ms is None
    assert replace(PLACED, processed=START + timedelta(milliseconds=38)).total_ms == 38


@pytest.mark.parametrize("text", ["http", "0", "70000", "-1"])
def test_an_invalid_port_is_reported_with_its_variable(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_ORDER_PORT", text)
    with pytest.raises(DemoFailed, match=rf"DEMO_ORDER_PORT is '{text}'; it must be a port number"):
        Ports.from_environment(declared_services.load())


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_port_counts_as_unset(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_ORDER_PORT", text)
    assert Ports.from_environment(declared_services.load()).services["order"].number == 8000


def test_a_port_that_is_assigned_twice_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_ORDER_RELAY_PORT", "18000")
    monkeypatch.setenv("DEMO_ORDER_PORT", "18000")
    with pytest.raises(DemoFailed, match=r"Port 18000 is assigned to .*DEMO_ORDER_PORT or DEMO_ORDER_RELAY_PORT"):
        Ports.from_environment(declared_services.load()).ensure_distinct()


class Killed:
    """A process that has ended, and whose start takes until `goes_on` is set."""

    def __init__(self, name: str, *, ended: bool, goes_on: asyncio.Event) -> None:
        self.name, self.has_ended, self._goes_on = name, ended, goes_on
        self.started = asyncio.Event()

    async def stop(self) -> None:
        """Nothing is left to stop."""

    async def start(self) -> None:
        await self._goes_on.wait()
        self.has_ended = False
        self.started.set()


async def test_a_process_is_restarted_while_another_one_is_still_starting() -> None:
    never, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()
    slow = Killed("LocalStack", ended=True, goes_on=never)
    fast = Killed("order", ended=True, goes_on=at_once)
    others: Any = Killed("others", ended=False, goes_on=at_once)
    parts: Any = (fast, slow)
    system = System((parts[0],), others, others, others, parts[1])
    notes: list[str] = []
    restarting = asyncio.create_task(system.restart_ended(notes.append))
    await asyncio.wait_for(fast.started.wait(), 10)
    restarting.cancel()
    await asyncio.gather(restarting, return_exceptions=True)
    assert sorted(notes) == ["LocalStack ended and is being restarted", "order ended and is being restarted"]
    assert not slow.started.is_set()
