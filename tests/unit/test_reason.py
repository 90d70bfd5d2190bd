"""Every service requires a reason that can be read, by one rule, and the console asks for the same."""

import pytest
from pydantic import BaseModel, ValidationError

from event_trio.http.reason import can_be_read
from event_trio.operations_api.dead_letters import RedriveRequest
from event_trio.operations_api.deferred_messages import DeferredMessageChangeRequest
from event_trio.operations_api.envelopes import RevealRequest
from event_trio.operations_api.redrives import RedriveJobRequest, RedriveStopRequest
from event_trio.operations_api.reveals import MessageRevealRequest
from services.order.schemas import ChangeReason
from services.relay.api.schemas import DiscardRequest, OperatorReason, ReplayRequest

REQUESTS: dict[type[BaseModel], dict[str, object]] = {
    RedriveRequest: {"all": True},
    DeferredMessageChangeRequest: {"all": True},
    RedriveJobRequest: {"all": True},
    RedriveStopRequest: {},
    RevealRequest: {},
    MessageRevealRequest: {},
    ChangeReason: {},
    OperatorReason: {},
    DiscardRequest: {},
    ReplayRequest: {"everything": True, "dry_run": False},
}
UNREADABLE = [
    "",
    " ",
    "\t\n",
    "\xa0",
    "\u200b",
    "\u200b \u2060",
    "\ufeff",
    "\u3164",
    "\u2800",
    "\u3000",
    "\xad",
    "\ufe0f",
]
READABLE = ["x", " the carrier is back ", "배송사가 복구됨", "✓", "ﷺ", "a\u200db", "é"]


@pytest.mark.parametrize("request_of", REQUESTS, ids=lambda each: each.__name__)
def test_a_reason_can_be_read(request_of: type[BaseModel]) -> None:
    given = REQUESTS[request_of]
    accepted = []
    for reason in UNREADABLE:
        try:
            request_of.model_validate({**given, "reason": reason})
        except ValidationError:
            continue
        accepted.append(reason)
    assert accepted == []
    for reason in READABLE:
        assert request_of.model_validate({**given, "reason": reason}).model_dump()["reason"] == reason.strip()


def test_the_console_asks_for_the_same() -> None:
    assert [reason for reason in UNREADABLE if can_be_read(reason)] == []
    assert [reason for reason in READABLE if not can_be_read(reason)] == []
