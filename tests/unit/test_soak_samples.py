"""The soak's test for growth finds a leak, and takes neither noise nor a warm-up for one."""

import random

import pytest

from tests.faults.samples import Series


def series(*values: float, kind: str = "memory") -> Series:
    return Series("memory of a process", kind, [(2.0 * index, value) for index, value in enumerate(values)])


def test_noise_is_flat() -> None:
    dice = random.Random(1)
    assert series(*(80 + dice.uniform(-5, 5) for _ in range(900))).is_flat


def test_a_slow_leak_is_found() -> None:
    dice = random.Random(1)
    leaking = series(*(80 + index * 0.03 + dice.uniform(-5, 5) for index in range(900)))
    assert not leaking.is_flat
    assert leaking.growth == pytest.approx(0.03 * 630, rel=0.2)


def test_a_warm_up_is_not_judged() -> None:
    assert series(*(min(80.0, 20 + index) for index in range(300))).is_flat


def test_a_single_spike_is_flat() -> None:
    assert series(*(80.0 if index != 250 else 500.0 for index in range(300))).is_flat


def test_descriptors_that_are_never_closed_are_found() -> None:
    assert not series(*(20 + index / 30 for index in range(300)), kind="descriptors").is_flat
