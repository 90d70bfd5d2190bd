"""Streams of parts of pages end with their session, with the process, and when there are too many."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.console.web.errors import PageError
from services.console.web.streams import LONGEST_SECONDS, MOST_PER_SESSION, Streams


async def valid() -> bool:
    return True


async def forever() -> AsyncIterator[tuple[str, str]]:
    number = 0
    while True:
        number += 1
        yield str(number), f"line {number}\nsecond"
        await asyncio.sleep(0)


async def nothing_happens() -> AsyncIterator[tuple[str, str]]:
    await asyncio.Event().wait()
    yield "", ""


async def chunks(streams: Streams, parts: AsyncIterator[tuple[str, str]], **given: object) -> list[str]:
    response = streams.respond("olga", parts, is_valid=given.get("is_valid", valid))  # type: ignore[arg-type]
    return [chunk.decode() async for chunk in response.body_iterator]  # type: ignore[union-attr]


async def test_a_part_is_an_event_with_its_id_and_all_its_lines() -> None:
    async def one() -> AsyncIterator[tuple[str, str]]:
        yield "7", "<p>\n</p>"

    assert await chunks(Streams(), one()) == [
        "event: part\nid: 7\ndata: <p>\ndata: </p>\n\n",
        "event: end\ndata: \n\n",
    ]


async def test_a_stream_ends_when_its_session_does() -> None:
    answers = iter((True, True, False))

    async def is_valid() -> bool:
        return next(answers)

    assert len(await chunks(Streams(), forever(), is_valid=is_valid)) == 2


async def test_a_stream_ends_after_its_longest_time() -> None:
    found = await chunks(Streams(iter(range(0, 10_000, int(LONGEST_SECONDS / 10))).__next__), forever())
    assert 1 <= len(found) <= 10


async def test_a_silent_stream_ends_when_the_process_stops() -> None:
    streams = Streams()
    reading = asyncio.create_task(chunks(streams, nothing_happens()))
    await asyncio.sleep(0)
    streams.close()
    assert "part" not in "".join(await asyncio.wait_for(reading, 5))


async def test_a_person_has_a_bounded_number_of_streams() -> None:
    streams = Streams()
    reading = [asyncio.create_task(chunks(streams, nothing_happens())) for _ in range(MOST_PER_SESSION)]
    await asyncio.sleep(0.01)
    with pytest.raises(PageError):
        streams.respond("olga", nothing_happens(), is_valid=valid)
    streams.respond("ada", nothing_happens(), is_valid=valid)
    streams.close()
    await asyncio.gather(*reading)
    streams.respond("olga", nothing_happens(), is_valid=valid)
