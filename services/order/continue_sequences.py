"""Continues orders of a restored database after the events that subscribers know.

`python -m services.order.continue_sequences FILE`, with the output of `event-trio events unknown --json`. It only says
what it would change, unless --apply is given. The settings are those of the service.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.database.connections import create_engine
from event_trio.error_text import describe
from event_trio.settings import EnvironmentSettings, fail, load, whole_database_url

from .domain import OrderId
from .main import SOURCE
from .repository import KnownOrder, continue_after


class ContinuationSettings(EnvironmentSettings):
    """What the command needs to know."""

    database_password: SecretStr | None = Field(None, description="The password of the role in DATABASE_URL.")
    database_url: SecretStr = Field(description="The restored database of the orders.")

    @field_validator("database_url")
    @classmethod
    def _is_whole(cls, value: SecretStr) -> SecretStr:
        return whole_database_url(value, None)


class KnownSubject(BaseModel):
    """The highest sequence of a subject that some subscriber has processed."""

    source: str
    subject: str
    sequence: int = Field(ge=1)


class UnknownEvents(BaseModel):
    """The output of `event-trio events unknown --json`."""

    subjects: list[KnownSubject]
    complete: bool


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was changed, or would be; exit with status 2 and the reason when nothing could be."""
    parser = argparse.ArgumentParser(
        prog="python -m services.order.continue_sequences", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("file", type=Path, help="the output of `event-trio events unknown --json`")
    parser.add_argument("--apply", action="store_true", help="change the orders; without it nothing is changed")
    given = parser.parse_args(arguments)
    known = read(given.file)
    url = load(ContinuationSettings).database_url.get_secret_value()
    try:
        found = asyncio.run(_change(url, known, apply=given.apply))
    except (SQLAlchemyError, OSError) as error:
        fail(f"cannot change the orders: {describe(error)}")
    for order in found:
        if order.is_behind:
            print(f"{order.id} continues after {order.known} instead of {order.version}")  # noqa: T201
        else:
            print(f"{order.id} needs no change: it continues after {order.version}")  # noqa: T201
    for lost in sorted(str(id) for id in known.keys() - {order.id for order in found}):
        print(f"{lost} is lost: the database has no such order")  # noqa: T201
    moved = sum(order.is_behind for order in found)
    print(f"{moved} of {len(known)} orders {'were' if given.apply else 'would be'} changed")  # noqa: T201
    if moved and not given.apply:
        print("nothing was changed: repeat the command with --apply")  # noqa: T201


def read(file: Path) -> Mapping[OrderId, int]:
    """The highest known sequence of each order, or exit with status 2 and the reason."""
    try:
        found = UnknownEvents.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}")
    except (ValidationError, UnicodeDecodeError):
        fail(f"{file} is not the output of `event-trio events unknown --json`")
    if not found.complete:
        fail(f"{file} is not complete: a service did not answer, so that higher sequences may be known; repeat it")
    try:
        return {OrderId(UUID(each.subject)): each.sequence for each in found.subjects if each.source == SOURCE}
    except ValueError:
        fail(f"{file} names a subject of {SOURCE} that is no order")


async def _change(url: str, known: Mapping[OrderId, int], *, apply: bool) -> Sequence[KnownOrder]:
    engine = create_engine(url, application_name="continue-sequences")
    try:
        async with AsyncSession(engine) as session:
            found = await continue_after(session, known)
            await (session.commit() if apply else session.rollback())
            return found
    finally:
        await engine.dispose()


if __name__ == "__main__":
    main()
