"""The faults of the broker and of the way to it."""

from __future__ import annotations

import asyncio
import json
import random

from tests.faults.proxies.broker import BrokerFault, Forward, entries_of
from tests.faults.proxies.http import Message


async def reset_before(request: Message, forward: Forward) -> bytes | None:
    """The connection is reset before the broker sees the request."""
    return None


async def reset_after(request: Message, forward: Forward) -> bytes | None:
    """The broker accepts the request, and its response is lost."""
    await forward(request)
    return None


async def no_response(request: Message, forward: Forward) -> bytes | None:
    """Nothing answers: a black hole."""
    return b""


async def cut_off(request: Message, forward: Forward) -> bytes | None:
    """The response ends in the middle of its body."""
    response = (await forward(request)).to_bytes()
    return response[: -max(1, len(response) // 4)] + b""


async def garbage(request: Message, forward: Forward) -> bytes | None:
    """Status 200 with a body that is no answer."""
    await forward(request)
    return response("200 OK", "\x00!", "text/xml")


async def twice(request: Message, forward: Forward) -> bytes | None:
    """The network delivers the request twice."""
    await forward(request)
    return (await forward(request)).to_bytes()


def slow(dice: random.Random, shortest: float, longest: float) -> BrokerFault:
    """Each call takes another time, so answers overtake each other."""

    async def answer(request: Message, forward: Forward) -> bytes | None:
        await asyncio.sleep(dice.uniform(shortest, longest))
        return (await forward(request)).to_bytes()

    return answer


def rejecting(status: str, code: str) -> BrokerFault:
    """The broker rejects the call."""

    async def answer(request: Message, forward: Forward) -> bytes | None:
        if b"x-amz-target" in request.head.lower():
            body = json.dumps({"__type": code, "message": "by the fault proxy"})
            return response(status, body, "application/x-amz-json-1.0")
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>by the fault proxy</Message></Error>"
        return response(status, f"<ErrorResponse>{error}</ErrorResponse>", "text/xml")

    return answer


def partial(dice: random.Random) -> BrokerFault:
    """Some entries of a PublishBatch are rejected, and do not reach the broker; the others are accepted."""

    async def answer(request: Message, forward: Forward) -> bytes | None:
        ids = [id for id, _ in entries_of(request)]
        failed = {id for id in ids if dice.random() < 0.4} or {ids[0]}
        return await rejecting_entries(failed, "InternalError", sender=False)(request, forward)

    return answer


def rejecting_entries(failed: set[str], code: str, *, sender: bool) -> BrokerFault:
    """These entries of a PublishBatch are rejected; the others are accepted."""

    async def answer(request: Message, forward: Forward) -> bytes | None:
        body = _empty_batch()
        if any(id not in failed for id, _ in entries_of(request)):
            body = (await forward(_without_entries(request, failed))).body.decode()
        members = "".join(
            f"<member><Id>{id}</Id><Code>{code}</Code><Message>by the fault proxy</Message>"
            f"<SenderFault>{str(sender).lower()}</SenderFault></member>"
            for id in sorted(failed)
        )
        body = body.replace("<Failed/>", "<Failed></Failed>").replace("<Failed />", "<Failed></Failed>")
        if "<Failed>" not in body:
            body = body.replace("</PublishBatchResult>", "<Failed></Failed></PublishBatchResult>")
        return response("200 OK", body.replace("<Failed>", f"<Failed>{members}"), "text/xml")

    return answer


async def partial_delete(request: Message, forward: Forward) -> bytes | None:
    """Every second entry of a DeleteMessageBatch fails, and its message stays."""
    asked = json.loads(request.body)
    kept, failed = asked["Entries"][1::2], asked["Entries"][::2]
    successful = []
    if kept:
        done = json.loads((await forward(request.with_body(json.dumps({**asked, "Entries": kept}).encode()))).body)
        successful = done.get("Successful", [])
    answer = {
        "Successful": successful,
        "Failed": [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in failed],
    }
    return response("200 OK", json.dumps(answer), "application/x-amz-json-1.0")


def response(status: str, body: str, content_type: str) -> bytes:
    """An HTTP response."""
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def _without_entries(request: Message, ids: set[str]) -> Message:
    """The request without these entries, the others renumbered; signatures are not verified by LocalStack."""
    groups: dict[str, list[tuple[str, str]]] = {}
    others: list[tuple[str, str]] = []
    for name, value in request.form:
        parts = name.split(".", 3)
        if parts[0] == "PublishBatchRequestEntries":
            groups.setdefault(parts[2], []).append((parts[3], value))
        else:
            others.append((name, value))
    kept = [
        fields for _, fields in sorted(groups.items(), key=lambda item: int(item[0])) if dict(fields)["Id"] not in ids
    ]
    numbered = [
        (f"PublishBatchRequestEntries.member.{number}.{name}", value)
        for number, fields in enumerate(kept, start=1)
        for name, value in fields
    ]
    return request.with_form([*others, *numbered])


def _empty_batch() -> str:
    return (
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>'
        "<Successful></Successful><Failed></Failed></PublishBatchResult>"
        "<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></PublishBatchResponse>"
    )
