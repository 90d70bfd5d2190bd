"""Scans an answer to PublishBatch that accepts every entry. Most answers do, and a scan costs a fraction of a parse.

The scanner accepts only the XML that brokers are known to send: ASCII, without entities, comments and attributes. It
returns None for everything else, and for a rejected entry. The parser of `answers` then reads the answer.
"""

from __future__ import annotations

import re
from typing import Any

SPACE = r"[ \n]*"
# Printable ASCII without the characters that have a meaning in XML.
TEXT = r"[ -%'-;=?-~]"
FIELD = r"<(Id|MessageId|SequenceNumber)>({text}*)</\{group}>{space}"
# LocalStack writes a space into an empty element.
NOTHING_FAILED = rf"(<Failed ?(?:/>|>{SPACE}</Failed>){SPACE})?"

HEAD = re.compile(
    rf"""(?:<\?xml version=(?:"1.0"|'1.0')(?: encoding=(?:"[Uu][Tt][Ff]-8"|'[Uu][Tt][Ff]-8'))?\?>{SPACE})?"""
    rf'<PublishBatchResponse(?: xmlns="https?://sns\.amazonaws\.com/doc/2010-03-31/")?>{SPACE}'
    rf"<PublishBatchResult>{SPACE}{NOTHING_FAILED}<Successful>{SPACE}"
)
FIELDS = [FIELD.format(text=TEXT, group=group, space=SPACE) for group in (1, 3, 5)]
MEMBER = re.compile(rf"<member>{SPACE}{FIELDS[0]}{FIELDS[1]}(?:{FIELDS[2]})?</member>{SPACE}")
TAIL = re.compile(
    rf"</Successful>{SPACE}{NOTHING_FAILED}</PublishBatchResult>{SPACE}"
    rf"<ResponseMetadata>{SPACE}<RequestId>({TEXT}+)</RequestId>{SPACE}</ResponseMetadata>{SPACE}"
    rf"</PublishBatchResponse>{SPACE}"
)


def scan(body: bytes) -> dict[str, Any] | None:
    """The answer as botocore returns it; None if only a parser can read it."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        return None
    head = HEAD.match(text)
    if head is None:
        return None
    successes: list[dict[str, str]] = []
    match, place = MEMBER.match, head.end()
    while (member := match(text, place)) is not None:
        first, first_text, second, second_text, third, third_text = member.groups()
        if first == second or third in (first, second):
            return None
        success = {first: first_text, second: second_text}
        if third is not None:
            success[third] = third_text
        successes.append(success)
        place = member.end()
    tail = TAIL.fullmatch(text, place)
    if tail is None or (head[1] is not None and tail[1] is not None):
        return None
    answer: dict[str, Any] = {"Successful": successes, "ResponseMetadata": {"RequestId": tail[2]}}
    if head[1] is not None or tail[1] is not None:
        answer["Failed"] = []
    return answer
