"""Asks every candidate the same question, and shows the answers side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.suite.results import LatencyFound, NumberFound
from comparisons.brokers.candidate import CandidateBroker, NotOffered, started
from comparisons.brokers.candidates.fifo import SnsSqsCandidate, SqsCandidate
from comparisons.brokers.candidates.kafka import KafkaCandidate
from comparisons.brokers.candidates.nats import JetStreamCandidate
from comparisons.brokers.candidates.rabbit import RabbitCandidate, RabbitStreamCandidate
from comparisons.brokers.candidates.redis import PubSubCandidate, RedisStreamsCandidate
from comparisons.contract import Cell, LineResult, NotAvailable
from comparisons.environment import ComparisonEnvironment

CANDIDATES: tuple[type[CandidateBroker], ...] = (
    SnsSqsCandidate,
    SqsCandidate,
    KafkaCandidate,
    RabbitCandidate,
    RabbitStreamCandidate,
    PubSubCandidate,
    RedisStreamsCandidate,
    JetStreamCandidate,
)
COLUMNS = tuple(candidate.column for candidate in CANDIDATES)
ANSWER_SECONDS = 60.0


@dataclass
class Answer:
    """What one candidate answered."""

    text: str
    holds: bool = True
    """Whether it is what the page expects."""
    numbers: list[NumberFound] = field(default_factory=list)
    latencies: list[LatencyFound] = field(default_factory=list)


Question: TypeAlias = Callable[[CandidateBroker], Awaitable[Answer]]


async def answer(environment: ComparisonEnvironment, kind: type[CandidateBroker], question: Question) -> Answer:
    """The answer of one candidate. Raises NotAvailable."""
    broker = await started(environment, kind)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await question(broker)
    except NotOffered as error:
        return Answer(str(error))
    except TimeoutError:
        return Answer(f"no answer within {ANSWER_SECONDS:g} s", holds=False)
    except Exception as error:  # noqa: BLE001 - one broker's failure is its answer, and the others are asked
        return Answer(f"{type(error).__name__}: {str(error)[:80]}", holds=False)


async def ask_all(environment: ComparisonEnvironment, question: Question, expected: str = "") -> LineResult:
    """The answers of all; a candidate that is not there is skipped with the reason."""
    cells: dict[str, Cell] = {}
    answers: list[Answer] = []
    versions: dict[str, str] = {}
    for kind in CANDIDATES:
        try:
            found = await answer(environment, kind, question)
            versions[kind.column] = (await started(environment, kind)).version()
        except NotAvailable as error:
            cells[kind.column] = Cell(str(error), skipped=True)
            continue
        answers.append(found)
        cells[kind.column] = Cell(found.text, "" if found.holds else expected or "another answer")
    return LineResult(
        cells,
        numbers=[each for found in answers for each in found.numbers],
        latencies=[each for found in answers for each in found.latencies],
        versions=versions,
    )


def line(question: Question, expected: str = "") -> Callable[[ComparisonEnvironment], Awaitable[LineResult]]:
    """The run of a line that asks all candidates."""

    async def run(environment: ComparisonEnvironment) -> LineResult:
        return await ask_all(environment, question, expected)

    return run
