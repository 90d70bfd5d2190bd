"""The brokers that take their time answer the questions of the comparison."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comparisons.brokers.candidate import CandidateBroker
from comparisons.brokers.candidates.kafka import KafkaCandidate
from comparisons.brokers.candidates.rabbit import RabbitCandidate, RabbitStreamCandidate
from comparisons.brokers.claims import VERDICT, rabbit
from comparisons.contract import Cell, NotAvailable
from comparisons.environment import ComparisonEnvironment
from tests.support.broker_answers import unexpected_answers

PATIENT: tuple[type[CandidateBroker], ...] = (KafkaCandidate, RabbitCandidate, RabbitStreamCandidate)


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncIterator[ComparisonEnvironment]:
    async with ComparisonEnvironment(tmp_path, seed=1) as found:
        yield found


@pytest.mark.parametrize("candidate", PATIENT, ids=lambda candidate: candidate.column)
async def test_rabbitmq_and_kafka_answer_as_expected(
    environment: ComparisonEnvironment, candidate: type[CandidateBroker]
) -> None:
    assert await unexpected_answers(environment, candidate) == {}


async def test_rabbitmq_is_not_one_to_one(environment: ComparisonEnvironment) -> None:
    try:
        result = await rabbit(environment)
    except NotAvailable as error:
        pytest.skip(str(error))
    assert result.cells[VERDICT] == Cell(result.cells[VERDICT].text)
