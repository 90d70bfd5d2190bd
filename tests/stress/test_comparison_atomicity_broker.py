"""The sagas of the comparison run over the project's relay and consumer, with LocalStack between them."""

from pathlib import Path

import pytest

from comparisons.atomicity.campaign import AMOUNT, QUANTITY, campaign
from comparisons.atomicity.checker import Expectation, check
from comparisons.atomicity.saga import Choreography, Orchestration
from comparisons.atomicity.saga_over_broker import running
from comparisons.atomicity.servers import databases
from comparisons.atomicity.world import PARTICIPANTS, PAYMENT, STOCK, Purchase
from comparisons.environment import ComparisonEnvironment
from tests.support.waiting import eventually


@pytest.mark.parametrize("way", [Choreography, Orchestration], ids=lambda way: way.__name__)
async def test_a_saga_over_relay_and_broker_is_whole(tmp_path: Path, localstack: str, way: type[Choreography]) -> None:
    async with (
        ComparisonEnvironment(tmp_path, seed=1, localstack_url=localstack) as environment,
        databases(environment, way) as world,
        running(environment, way, world) as saga,
        campaign(way, world, environment.random("stress")) as found,
    ):
        purchases = [Purchase(f"p{number}", "item", QUANTITY, f"customer-{number}", AMOUNT) for number in range(6)]
        money = {purchase.customer: AMOUNT * (number % 2) for number, purchase in enumerate(purchases)}
        await world.fund(STOCK, "item", 100)
        for customer, amount in money.items():
            await world.fund(PAYMENT, customer, amount)
        states = [await saga.place(purchase) for purchase in purchases]
        assert states == ["rejected", "accepted"] * 3
        await found.connect()
        expected = [Expectation(each.id, {name: each.needs(name) for name in PARTICIPANTS}, None) for each in purchases]

        async def is_whole() -> bool:
            return await check(found.connections, expected, {STOCK: {"item": 100}, PAYMENT: money}) == []

        # A rejected purchase has its stock back when that event has been carried, too.
        await eventually(is_whole)
