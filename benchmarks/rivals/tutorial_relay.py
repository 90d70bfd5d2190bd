"""A relay as tutorials write it: SQLModel rows, SKIP LOCKED, one Publish per row.

`python -m benchmarks.rivals.tutorial_relay`. It is a comparison, not a recommendation: two of them, or one after a
failure in mid-batch, publish the events of a group out of order.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import aioboto3
import typer
from sqlalchemy import Column, DateTime
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel, col, select

from benchmarks.suite.events import OrderMeasured, make_events

BATCH = 100
IDLE_SECONDS = 0.1


class OutboxRow(SQLModel, table=True):
    """An event that waits to be published."""

    __tablename__ = "tutorial_outbox"

    id: int | None = Field(default=None, primary_key=True)
    event_id: UUID
    aggregate_id: str
    payload: str
    created_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), sa_column=Column(DateTime(timezone=True), nullable=False)
    )
    processed_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True, index=True)
    )


def main(
    database_url: str = typer.Option(help="`postgresql://` URL of the database."),
    endpoint: str = typer.Option(help="The broker's address."),
    topic_arn: str = typer.Option(help="The topic to publish to."),
    fill: bool = typer.Option(False, "--fill", help="Create the table, put events into it, and end."),
    events: int = typer.Option(100, min=1, help="Events to put in."),
    groups: int = typer.Option(10, min=1, help="Groups that they belong to."),
    lines: int = typer.Option(3, min=0, help="Order lines of each event."),
) -> None:
    """Publish what is in the table until stopped, or fill it."""
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://", 1))
    if fill:
        asyncio.run(_fill(engine, events, groups, lines))
        typer.echo("{}")
    else:
        asyncio.run(_relay(engine, endpoint, topic_arn))


async def _fill(engine: AsyncEngine, events: int, groups: int, lines: int) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all, tables=[SQLModel.metadata.tables["tutorial_outbox"]])
    async with AsyncSession(engine) as session:
        session.add_all(
            OutboxRow(event_id=each.event_id, aggregate_id=each.group, payload=each.body.decode())
            for each in make_events(events, groups, lines, prefix="tutorial")
        )
        await session.commit()
    await engine.dispose()


async def _relay(engine: AsyncEngine, endpoint: str, topic_arn: str) -> None:
    sessions = async_sessionmaker(engine)
    async with aioboto3.Session().client("sns", endpoint_url=endpoint) as client:
        while True:
            async with sessions() as session:
                waiting = (
                    select(OutboxRow)
                    .where(col(OutboxRow.processed_at).is_(None))
                    .order_by(col(OutboxRow.id))
                    .limit(BATCH)
                    .with_for_update(skip_locked=True)
                )
                rows = (await session.execute(waiting)).scalars().all()
                for row in rows:
                    await client.publish(
                        TopicArn=topic_arn,
                        Message=row.payload,
                        MessageGroupId=row.aggregate_id,
                        MessageDeduplicationId=str(row.event_id),
                        MessageAttributes={"type": {"DataType": "String", "StringValue": OrderMeasured.type}},
                    )
                    row.processed_at = datetime.now(UTC)
                await session.commit()
            if not rows:
                await asyncio.sleep(IDLE_SECONDS)


if __name__ == "__main__":
    typer.run(main)
