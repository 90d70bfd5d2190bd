"""Hooks for conditions that a schema cannot express; Schemathesis loads them (tests/support/schemathesis.toml)."""

import uuid
from typing import Any

import schemathesis
from schemathesis import Case, HookContext

from event_trio.mailbox import NotMailable, mailbox

KEY, VERSION = "Idempotency-Key", "If-Match"
CRITERIA = ("event_id", "subject", "type", "since", "until")
MESSAGE_CRITERIA = ("event_id", "type", "group", "failure", "fingerprint", "since", "until")
SELECTING = ("/v1/dead-letters/", "/v1/deferred-messages/")
REJECTED_CHARACTERS = dict.fromkeys(map(ord, "\ufffe\uffff"))


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Use a new idempotency key for each call, and mostly a version that matches."""
    if not _is_meant_to_be_valid(case) or not case.headers:
        return
    if KEY in case.headers:
        case.headers[KEY] = str(uuid.uuid4())
    if VERSION in case.headers and len(case.headers[VERSION]) % 4:
        case.headers[VERSION] = "*"


@schemathesis.hook
def map_case(context: HookContext, case: Case[Any]) -> Case[Any]:
    """Make a generated body valid.

    The digits of a price depend on the currency, the broker rejects some characters, and no pattern describes valid
    mail domains. A replay needs a selection and a reason; a change of messages needs a selection.
    """
    body: Any = case.body
    if _is_meant_to_be_valid(case) and isinstance(body, dict):
        for line in body.get("lines", ()):
            line["unit_price"] = line["unit_price"].partition(".")[0]
        if isinstance(body.get("reason"), str):
            body["reason"] = body["reason"].translate(REJECTED_CHARACTERS).strip() or "why not"
        if "recipient" in body and not _is_mailable(body["recipient"]):
            body["recipient"] = "ada@example.com"
        if case.path.endswith("/replays"):
            body["everything"] = all(body.get(name) is None for name in CRITERIA)
            body["reason"] = body.get("reason") or "why not"
        if case.path == "/v1/redrives" or (case.path.startswith(SELECTING) and not case.path.endswith("/reveals")):
            body["all"] = body.get("all") or not any(body.get(name) for name in MESSAGE_CRITERIA)
    return case


def _is_mailable(address: Any) -> bool:
    try:
        return bool(mailbox(address))
    except NotMailable:
        return False


def _is_meant_to_be_valid(case: Case[Any]) -> bool:
    return case.meta is None or case.meta.generation.mode.is_positive
