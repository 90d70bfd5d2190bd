"""Timestamps in requests."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from event_trio.http.timestamp import Timestamp

MOMENT: TypeAdapter[datetime] = TypeAdapter(Timestamp)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T09:00:00Z", datetime(2026, 1, 31, 9, tzinfo=UTC)),
        ("2026-01-31t09:00:00.5+09:00", datetime(2026, 1, 31, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00+10:00", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59-10:00", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_converted_to_utc(text: str, moment: datetime) -> None:
    assert MOMENT.validate_python(text) == moment


@given(st.datetimes(timezones=st.timezones()))
def test_every_valid_timestamp_is_accepted(moment: datetime) -> None:
    text = moment.isoformat()
    if len(text.rpartition("T")[2]) <= len("00:00:00.000000+00:00"):
        assert MOMENT.validate_python(text).tzinfo is UTC


@pytest.mark.parametrize(
    "other", ["0", "0.5", 0, "x", "2026-01-31", "2026-01-31T09:00:00", "2026-02-30T09:00:00Z", None]
)
def test_other_forms_are_rejected(other: object) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(other)
