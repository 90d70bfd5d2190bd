"""Sampling in a fault run: it ends in time on a busy machine, where a sample takes seconds."""

import asyncio
import time

import pytest

from tests.faults.catalogue import load
from tests.faults.run import LONGEST_FAULT_SECONDS


@pytest.mark.parametrize(("sample_seconds", "least"), [(0.1, 40), (3.0, load.LEAST_SAMPLES)])
async def test_sampling_takes_enough_samples_and_ends_before_the_run_is_broken_off(
    monkeypatch: pytest.MonkeyPatch, sample_seconds: float, least: int
) -> None:
    now, taken = 0.0, 0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def sample(number: int) -> None:
        nonlocal taken
        taken = number + 1
        await sleep(sample_seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    await load.take(sample)
    assert taken >= least
    assert load.SAMPLING_SECONDS <= now < LONGEST_FAULT_SECONDS / 2
