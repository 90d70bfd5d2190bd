"""The comparison of brokers: those that start in a moment answer each question, and each claim has its verdict."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comparisons.brokers.candidate import CandidateBroker
from comparisons.brokers.candidates.nats import JetStreamCandidate
from comparisons.brokers.candidates.redis import RedisStreamsCandidate
from comparisons.brokers.claims import VERDICT
from comparisons.brokers.part import CLAIMS, RABBITMQ
from comparisons.contract import Cell, NotAvailable
from comparisons.environment import ComparisonEnvironment
from tests.support.broker_answers import unexpected_answers

QUICK: tuple[type[CandidateBroker], ...] = (JetStreamCandidate, RedisStreamsCandidate)


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncIterator[ComparisonEnvironment]:
    async with ComparisonEnvironment(tmp_path, seed=1) as found:
        yield found


@pytest.mark.parametrize("candidate", QUICK, ids=lambda candidate: candidate.column)
async def test_a_broker_answers_as_expected(
    environment: ComparisonEnvironment, candidate: type[CandidateBroker]
) -> None:
    assert await unexpected_answers(environment, candidate) == {}


@pytest.mark.parametrize("key", [key for key in CLAIMS if key != RABBITMQ])
async def test_a_claim_has_its_verdict(tmp_path: Path, localstack: str, key: str) -> None:
    async with ComparisonEnvironment(tmp_path, seed=1, localstack_url=localstack) as environment:
        try:
            result = await CLAIMS[key][1](environment)
        except NotAvailable as error:
            pytest.skip(str(error))
    assert result.cells[VERDICT] == Cell(result.cells[VERDICT].text)
