"""Readiness: what is required, what only degrades, and what happens when a check hangs or raises."""

import asyncio

import pytest

from shared.http import health
from shared.http.health import Check, assess


async def fine() -> str | None:
    return None


async def missing() -> str | None:
    return "the queue orders.fifo does not exist"


async def raising() -> str | None:
    raise ConnectionError("postgresql://user:hunter2@db")


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_all_fine_is_ready() -> None:
    assert (await assess([Check("a", fine), Check("b", fine, required=False)])).status == "ready"


async def test_an_optional_check_degrades() -> None:
    found = await assess([Check("a", fine), Check("b", missing, required=False)])
    assert found.status == "degraded"
    assert found.checks["b"].detail == "the queue orders.fifo does not exist"


async def test_a_required_check_makes_it_not_ready() -> None:
    assert (await assess([Check("a", missing), Check("b", missing, required=False)])).status == "not_ready"


async def test_a_check_that_raises_shows_no_secrets() -> None:
    found = await assess([Check("a", raising)])
    assert found.status == "not_ready"
    assert "hunter2" not in found.model_dump_json()


async def test_a_check_that_hangs_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.01)
    found = await assess([Check("a", hanging), Check("b", fine)])
    assert (found.checks["a"].ok, found.checks["b"].ok) == (False, True)
