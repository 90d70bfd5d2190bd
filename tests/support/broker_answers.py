"""Asks one broker all questions of the comparison, most of them at the same time."""

import asyncio

import pytest

from comparisons.brokers.candidate import CandidateBroker, started
from comparisons.brokers.part import QUESTIONS
from comparisons.brokers.questions import answer
from comparisons.contract import NotAvailable
from comparisons.environment import ComparisonEnvironment

ALONE = ("killed", "speed", "memory")
"""They stop the server, or measure it."""


async def unexpected_answers(environment: ComparisonEnvironment, candidate: type[CandidateBroker]) -> dict[str, str]:
    """The answers that the page does not expect. The test is skipped where the broker cannot be had."""
    try:
        await started(environment, candidate)
    except NotAvailable as error:
        pytest.skip(str(error))
    together = [key for key in QUESTIONS if key not in ALONE]
    texts = await asyncio.gather(*(_ask(environment, candidate, key) for key in together))
    found = dict(zip(together, texts, strict=True))
    for key in ALONE:
        found[key] = await _ask(environment, candidate, key)
    return {key: text for key, text in found.items() if text}


async def _ask(environment: ComparisonEnvironment, candidate: type[CandidateBroker], key: str) -> str:
    given = await answer(environment, candidate, QUESTIONS[key][1])
    return "" if given.holds else given.text
