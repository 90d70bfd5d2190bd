"""The fields of answers that pages compute with, and their types: an answer without them is none of the API.

What is only shown, and what later versions add, is not listed: a page shows nothing for a field that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

MOST_ITEMS = 1000
"""The most that a service lists or changes in one call."""
YEARS = range(2, 9999)
"""Times of other years do not exist in every zone."""


def answer_error(method: str, path: str, body: Mapping[str, Any]) -> str | None:
    """The first field of the answer that a page could not use; None if it can use all."""
    shape = next((shape for asked, pattern, shape in SHAPES if asked == method and pattern.fullmatch(path)), None)
    try:
        if shape is not None:
            shape.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None


def readiness_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The readiness page in an answer or problem; empty if it is none."""
    return body if answer_error("GET", "/readyz", body) is None else {}


def _time(text: str) -> str:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or at.year not in YEARS:
        raise ValueError("must have a zone, and a year that other zones have")
    return text


def _answer(**fields: Any) -> type[BaseModel]:
    """An object with at least these fields; a tuple has the value of one that is missing."""
    given = {name: kind if isinstance(kind, tuple) else (kind, ...) for name, kind in fields.items()}
    found: type[BaseModel] = create_model("Answer", __config__=ConfigDict(strict=True), **given)  # type: ignore[call-overload]
    return found


def _many(kind: Any) -> Any:
    return Annotated[list[kind], Field(max_length=MOST_ITEMS)]


def _page(kind: Any) -> type[BaseModel]:
    return _answer(items=_many(kind), next_cursor=(str | None, None))


Time: Any = Annotated[str, AfterValidator(_time)]
Number: Any = Annotated[float, Field(allow_inf_nan=False)]
Text: Any = str | None
MaybeTime: Any = Time | None
ABSENT = (Text, None)
"""A text that may be missing."""
ABSENT_NUMBER = (int | None, None)

_COUNT = _answer(value=int, at_least=(bool, False))
_RECORDED = _answer(
    **dict.fromkeys(("event_id", "subject", "type", "state"), str),
    **dict.fromkeys(("first_sent_at", "sent_at", "first_published_at", "published_at", "held_at"), MaybeTime),
    **dict.fromkeys(("held_reason", "held_behind", "last_error"), Text),
    **dict.fromkeys(("source", "correlation_id", "causation_id", "trace_id"), ABSENT),
    recorded_at=Time,
    attempts=int,
    republished=int,
)
_DEFERRED = _answer(status=str, reason=str, error=Text, attempts=int, due_at=MaybeTime, message_group=ABSENT)
_ACTION = _answer(action=str, actor=str, reason=str, done_at=Time)
_PROCESSED = _answer(
    event_id=str,
    **dict.fromkeys(("subject", "type"), Text),
    time=MaybeTime,
    processed_at=Time,
    outcome=str,
    deferred=_DEFERRED | None,
    actions=(_many(_ACTION), []),
)
_MESSAGE = _answer(event_id=str, message_group=str, reason=str, error=Text, deferred_at=Time, type=ABSENT)
_FAILURE = _answer(
    **dict.fromkeys(("fingerprint", "reason"), str),
    **dict.fromkeys(("messages", "message_groups"), int),
    **dict.fromkeys(("first_at", "last_at"), Time),
    error=Text,
)
_REDRIVE: dict[str, Any] = {
    **{"id": int, "requested_at": Time, "requested_by": str, "reason": str, "selection": dict[str, str]},
    **{"per_second": Number | None, "chosen": _COUNT, "redriven": int, "finished_at": MaybeTime},
}
_OUTBOX = _answer(
    **dict.fromkeys(("pending", "unconfirmed", "held_groups"), _COUNT),
    oldest_pending_seconds=Number | None,
    relays=int,
    paused=_answer(by=str, reason=str) | None,
    replay=_answer(id=int, progress=Number, requested_by=str, reason=str) | None,
)
_RELAY = _answer(
    relay_id=str,
    alive=bool,
    **dict.fromkeys(("started_at", "heartbeat_at"), Time),
    **dict.fromkeys(("silent_seconds", "lease_seconds"), Number),
    lanes=int,
)
_QUEUE = (_answer(name=str, messages=ABSENT_NUMBER, in_flight=ABSENT_NUMBER) | None, None)
_REPLAY = _answer(
    id=int,
    requested_at=Time,
    criteria=dict[str, Any],
    replayed=int,
    progress=Number,
    **dict.fromkeys(("finished_at", "cancelled_at"), MaybeTime),
)
_CHANGED = _answer(items=_many(_answer(message_group=str)))

SHAPES: tuple[tuple[str, re.Pattern[str], type[BaseModel]], ...] = tuple(
    (method, re.compile(path), shape)
    for method, path, shape in (
        ("GET", "/readyz", _answer(status=str, checks=dict[str, _answer(ok=bool, detail=ABSENT)])),  # type: ignore[misc]
        ("GET", "/v1/process", _answer(started_at=(MaybeTime, None))),
        (
            "GET",
            "/v1/topology",
            _answer(
                topic=(dict[str, Any] | None, None),
                **dict.fromkeys(("queue", "dead_letter_queue", "undelivered_queue"), _QUEUE),
                handles=(_many(_answer(type=str, failure_policy=str)), []),
            ),
        ),
        (
            "GET",
            "/v1/inbox",
            _answer(
                **dict.fromkeys(("waiting", "blocked", "dead", "overdue"), _COUNT),
                first_overdue=_answer(event_id=str, message_group=str, behind=ABSENT) | None,
            ),
        ),
        ("GET", "/v1/recorded-events", _page(_RECORDED)),
        ("GET", "/v1/processed-messages", _page(_PROCESSED)),
        (
            "GET",
            "/v1/operator-actions",
            _page(_answer(event_id=str, action=str, actor=str, reason=str, attempts=int, done_at=Time)),
        ),
        ("GET", "/v1/events/[^/]+", _answer(recorded=_RECORDED | None, processed=_PROCESSED | None)),
        ("GET", "/v1/events/[^/]+/envelope", _answer(envelope=dict[str, Any], masked=_many(str))),
        ("GET", "/v1/failures", _answer(items=_many(_FAILURE), messages=_COUNT, next_cursor=ABSENT)),
        ("GET", "/v1/(dead-letters|deferred-messages)", _page(_MESSAGE)),
        ("GET", "/v1/(dead-letters|deferred-messages)/.+", _answer(envelope=str, attributes=dict[str, str])),
        ("POST", "/v1/(dead-letters|deferred-messages)/(discard|run)", _CHANGED),
        ("GET", "/v1/redrives", _page(_answer(**_REDRIVE))),
        ("GET", "/v1/redrives/[0-9]+", _answer(**_REDRIVE, waiting=int, dead=int, completed=int)),
        (
            "POST",
            "/v1/redrives",
            _answer(messages=_COUNT, message_groups=int | None, redrive=_answer(**_REDRIVE) | None),
        ),
        ("GET", "/v1/outbox", _OUTBOX),
        (
            "GET",
            "/v1/outbox/lanes",
            _answer(relays=_many(_RELAY), lanes=_many(_answer(owner=Text, owner_alive=bool))),
        ),
        ("GET", "/v1/outbox/held-groups", _page(_answer(subject=str, reason=str, since=Time, behind=_COUNT))),
        (
            "GET",
            "/v1/outbox/groups/.+",
            _answer(held=_answer(reason=Text) | None, events=_many(_answer(event_id=str, state=str, recorded_at=Time))),
        ),
        (
            "GET",
            "/v1/outbox/audit",
            _page(_answer(at=Time, action=str, actor=str, reason=str, event_id=Text, subject=ABSENT)),
        ),
        ("GET", "/v1/outbox/replays/[0-9]+", _REPLAY),
        ("POST", "/v1/outbox/replays", _answer(events=int, replay=int | None)),
    )
)
