"""Lists the dead letters of the mailer, runs those again whose handler failed, and discards those of unknown types."""

import asyncio
import os

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from event_trio.inbox import By, DeadLetters, Selection


async def main() -> None:
    engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:"))
    letters = DeadLetters(async_sessionmaker(engine), "mailer-shop-events")
    for letter in await letters.page(Selection()):
        print(letter.event_id, letter.type, letter.reason, letter.error)
    await letters.redrive(Selection(reason="failed"), By("ada", "the template is repaired"), per_second=10)
    await letters.discard(Selection(reason="unknown_type"), By("ada", "nobody needs these events"))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
