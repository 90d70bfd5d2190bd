"""The tests' own way of waiting."""

import pytest

from tests.support.waiting import eventually


async def test_returns_the_first_true_value() -> None:
    answers = iter([None, 0, "ready"])

    async def check() -> object:
        return next(answers)

    assert await eventually(check) == "ready"


async def test_says_what_it_saw_last() -> None:
    async def check() -> list[str]:
        return []

    with pytest.raises(AssertionError, match=r"not true after 0.02 s; last result: \[\]"):
        await eventually(check, timeout=0.02)


async def test_a_failed_assertion_means_not_yet() -> None:
    calls = 0

    async def check() -> bool:
        nonlocal calls
        calls += 1
        assert calls > 2
        return True

    assert await eventually(check)
    assert calls == 3
