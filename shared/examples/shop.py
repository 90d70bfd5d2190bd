"""Places an order, and mails the customer once, however often the event of the order is delivered."""

import asyncio
import os
from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from event_trio.consumer import Event, Retry, Router, consume
from event_trio.inbox import install_tables as install_inbox
from event_trio.outbox import EventPayload, OutboxWriter, install_tables

DATABASE = os.environ["DATABASE_URL"]
TABLES = (
    "CREATE TABLE IF NOT EXISTS shop_order (id text PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS mail (order_id text)",
)


class OrderPlaced(EventPayload):
    type: ClassVar[str] = "order.placed"
    order_id: str
    total: int


async def place_order(session: AsyncSession, order_id: str, total: int) -> None:
    """The order and its event are committed together, or neither is."""
    await session.execute(text("INSERT INTO shop_order VALUES (:id)"), {"id": order_id})
    placed = OrderPlaced(order_id=order_id, total=total)
    await OutboxWriter("/shop").record(session, placed, subject=order_id, sequence=1, correlation_id=order_id)


async def write_mail(session: AsyncSession, event: Event[OrderPlaced], _: Any) -> None:
    """The mail and the record that the event was processed are committed together."""
    await session.execute(text("INSERT INTO mail VALUES (:id)"), {"id": event.payload.order_id})


async def main() -> None:
    engine = create_async_engine(DATABASE.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await install_tables(connection)
        await install_inbox(connection)
        for table in TABLES:
            await connection.execute(text(table))
    async with AsyncSession(engine) as session, session.begin():
        await place_order(session, order_id=str(uuid4()), total=4200)
    await engine.dispose()

    router = Router()
    router.handle(OrderPlaced, write_mail, policy=Retry(attempts=5, delay=2))
    await consume(queue="mailer-shop-events.fifo", router=router, database=DATABASE)  # until SIGTERM or Ctrl-C


if __name__ == "__main__":
    asyncio.run(main())
