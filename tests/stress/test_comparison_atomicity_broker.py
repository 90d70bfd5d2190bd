"""A saga of the comparison runs over the project's relay and consumer, with LocalStack between them."""

from contextlib import AsyncExitStack
from pathlib import Path

from comparisons.atomicity.campaign import AMOUNT, QUANTITY, campaign
from comparisons.atomicity.checker import Expectation, check
from comparisons.atomicity.saga import Choreography
from comparisons.atomicity.saga_over_broker import running
from comparisons.atomicity.servers import SERVICES
from comparisons.atomicity.world import PARTICIPANTS, PAYMENT, STOCK, Purchase, world
from comparisons.environment import ComparisonEnvironment
from tests.support.databases import database
from tests.support.servers import PostgresServer
from tests.support.waiting import eventually


async def test_a_saga_over_relay_and_broker_is_whole(tmp_path: Path, localstack: str, postgres: PostgresServer) -> None:
    async with (
        AsyncExitStack() as stack,
        ComparisonEnvironment(tmp_path, seed=1, localstack_url=localstack) as environment,
    ):
        urls = {}
        for name in SERVICES:
            urls[name] = (await stack.enter_async_context(database(postgres.admin_url, purpose=name))).url
        databases = await stack.enter_async_context(world(urls))
        await Choreography(databases).install()
        async with (
            running(environment, Choreography, databases) as saga,
            campaign(Choreography, databases, environment.random("stress")) as found,
        ):
            purchases = [Purchase(f"p{number}", "item", QUANTITY, f"customer-{number}", AMOUNT) for number in range(6)]
            money = {purchase.customer: AMOUNT * (number % 2) for number, purchase in enumerate(purchases)}
            await databases.fund(STOCK, "item", 100)
            for customer, amount in money.items():
                await databases.fund(PAYMENT, customer, amount)
            states = [await saga.place(purchase) for purchase in purchases]
            assert states == ["rejected", "accepted"] * 3
            await found.connect()
            expected = [
                Expectation(each.id, {name: each.needs(name) for name in PARTICIPANTS}, None) for each in purchases
            ]

            async def is_whole() -> bool:
                return await check(found.connections, expected, {STOCK: {"item": 100}, PAYMENT: money}) == []

            # A rejected purchase has its stock back when that event has been carried, too.
            await eventually(is_whole)
