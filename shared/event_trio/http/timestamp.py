"""Timestamps in requests: RFC 3339 with an offset from UTC, and no other form."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)

# By default pydantic accepts numbers, as seconds since 1970.
_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


def _has_form(value: object) -> object:
    if isinstance(value, str) and _FORM.fullmatch(value):
        return value
    raise ValueError("must be a date and time with an offset, such as 2026-01-31T09:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        # The conversion would leave the range of datetime.
        return EARLIEST if moment.year == 1 else LATEST


Timestamp = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_has_form), AfterValidator(_in_utc)]
