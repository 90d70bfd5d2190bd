"""The soak's test for growth finds a leak, and takes neither noise nor a warm-up for one."""

import random

import pytest

from tests.faults.series import Series


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


def test_a_plot_shows_where_it_grew_and_what_is_missing() -> None:
    assert series(*(8.0 for _ in range(100))).plot(5) == "█████"
    assert series(*(float(index) for index in range(100))).plot(5) == "▁▃▅▇█"
    missing = series(*(8.0 for _ in range(20)))
    missing.points += [(80.0, 4.0), (81.0, 4.0)]
    assert missing.plot(4) == "██ ▅"


def test_the_growth_of_an_hour() -> None:
    assert series(*(20 + index / 30 for index in range(300))).growth_an_hour == pytest.approx(60.0, rel=0.01)
