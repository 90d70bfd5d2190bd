"""Cursors round-trip, and other texts never reach the database."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trio.http.cursor import PATTERN, TEXT_PATTERN, decode, decode_text, encode, encode_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 2**56 - 1).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds))
ID = UUID(int=7)


@given(MOMENTS, st.uuids())
def test_a_position_round_trips(at: datetime, id: UUID) -> None:
    assert decode(encode(at, id)) == (at, id)


@given(MOMENTS, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=128))
def test_a_position_with_a_text_round_trips(at: datetime, id: str) -> None:
    assert decode_text(encode_text(at, id)) == (at, id)


def test_another_time_zone_is_the_same_instant() -> None:
    at = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    assert decode(encode(at, ID)) == (datetime(2026, 1, 1, tzinfo=UTC), ID)


@given(st.from_regex(PATTERN, fullmatch=True), st.from_regex(TEXT_PATTERN, fullmatch=True))
def test_every_text_of_the_form_is_a_position(cursor: str, text: str) -> None:
    assert decode(cursor.strip())[0].tzinfo is UTC
    assert decode_text(text.strip())[1].isprintable()


@pytest.mark.parametrize(
    "foreign",
    ["", "x", "ö", "0" * 45, "0" * 47, "0" * 46 + "\n", "A" * 46, "g" * 46, "W10", "-" + "0" * 45, "٣" * 46],
)
def test_other_texts_are_rejected(foreign: str) -> None:
    with pytest.raises(ValueError, match="not a cursor of this list"):
        decode(foreign)


@pytest.mark.parametrize("id", ["00", "1f", "7f", "c3a4", "4", ""])
def test_texts_that_the_database_might_reject_are_rejected(id: str) -> None:
    with pytest.raises(ValueError, match="not a cursor of this list"):
        decode_text("0" * 14 + id)


@given(st.text(max_size=60))
def test_nothing_else_is_ever_raised(foreign: str) -> None:
    for read in (decode, decode_text):
        with suppress(ValueError):
            read(foreign)
