"""Cursors: what is made is read again, and what was made elsewhere never reaches the database."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.cursor import decode, encode


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_position_survives(at: datetime, id: object) -> None:
    assert decode(encode(at, id)) == (at, str(id))


def test_another_time_zone_is_the_same_instant() -> None:
    at = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    assert decode(encode(at, "x")) == (datetime(2026, 1, 1, tzinfo=UTC), "x")


def made(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "x",
        "ö",
        "====",
        made(None),
        made({"a": 1}),
        made([1, 2]),
        made(["2026-01-01T00:00:00Z"]),
        made(["2026-01-01T00:00:00", "no time zone"]),
        made(["0001-01-01T00:00:00+14:00", "before time"]),
        made(["2026-01-01T00:00:00Z", 7]),
        made(["2026-01-01T00:00:00Z", "nul \x00"]),
        made(["2026-01-01T00:00:00Z", "surrogate \ud800"]),
        base64.urlsafe_b64encode(b"[" * 9999).decode(),
    ],
)
def test_what_was_not_made_here_is_refused(foreign: str) -> None:
    with pytest.raises(ValueError, match="not a cursor of this list"):
        decode(foreign)


@given(st.text(max_size=60))
def test_nothing_else_is_ever_raised(foreign: str) -> None:
    with suppress(ValueError):
        decode(foreign)
