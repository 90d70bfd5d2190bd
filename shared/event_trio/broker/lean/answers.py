"""Parses the answers of successful calls into the dictionaries that botocore would return.

A reader returns None for any answer that it does not expect. The stock client's parser then reads the answer, or raises
its own error about it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from .acceptances import scan

METADATA = "ResponseMetadata"
RESULT_MEMBERS = {
    "Successful": frozenset({"Id", "MessageId", "SequenceNumber"}),
    "Failed": frozenset({"Id", "Code", "Message", "SenderFault"}),
}
MESSAGE_MEMBERS = frozenset({"MessageId", "ReceiptHandle", "MD5OfBody", "Body", "MD5OfMessageAttributes"})
ATTRIBUTE_MEMBERS = frozenset({"StringValue", "DataType"})
HANDLE_MEMBERS = {"Successful": frozenset({"Id"}), "Failed": RESULT_MEMBERS["Failed"]}


def published(body: bytes, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The answer to PublishBatch."""
    return scan(body) or parse_publications(body)


def parse_publications(body: bytes) -> dict[str, Any] | None:
    """The answer to PublishBatch, whatever its entries' outcomes."""
    parser = ElementTree.XMLParser(encoding="utf-8")  # noqa: S314 - botocore reads the same answers with it
    try:
        parser.feed(body)
        root = parser.close()
    except ElementTree.ParseError:
        return None
    parts = _children(root)
    if parts is None or _name(root) != "PublishBatchResponse" or parts.keys() != {"PublishBatchResult", METADATA}:
        return None
    result, metadata = _children(parts["PublishBatchResult"]), _texts(parts[METADATA])
    if result is None or metadata is None or "" in metadata.values():
        return None
    answer: dict[str, Any] = {}
    for name, node in result.items():
        entries = _members(node, RESULT_MEMBERS.get(name))
        if entries is None:
            return None
        answer[name] = entries
    answer[METADATA] = metadata
    return answer


def received(body: bytes, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The answer to ReceiveMessage."""
    answer = _json(body, headers, frozenset({"Messages"}))
    if answer is None:
        return None
    for message in answer.get("Messages", ()):
        if type(message) is not dict:
            return None
        for name, value in message.items():
            if value is None:
                return None
            if name in MESSAGE_MEMBERS:
                continue
            if type(value) is not dict or name not in ("Attributes", "MessageAttributes"):
                return None
            if name == "MessageAttributes" and not all(map(_is_text_attribute, value.values())):
                return None
    return answer


def changed(body: bytes, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The answer to DeleteMessageBatch and ChangeMessageVisibilityBatch."""
    answer = _json(body, headers, frozenset(HANDLE_MEMBERS))
    if answer is None:
        return None
    for name, members in HANDLE_MEMBERS.items():
        for entry in answer.get(name, ()):
            if type(entry) is not dict or not entry.keys() <= members or None in entry.values():
                return None
    return answer


READERS: Mapping[str, Callable[[bytes, Mapping[str, str]], dict[str, Any] | None]] = {
    "PublishBatch": published,
    "ReceiveMessage": received,
    "DeleteMessageBatch": changed,
    "ChangeMessageVisibilityBatch": changed,
}


def _json(body: bytes, headers: Mapping[str, str], lists: frozenset[str]) -> dict[str, Any] | None:
    """A JSON object whose members are lists, with the request id from the headers."""
    try:
        answer = json.loads(body.decode())
    except ValueError:
        return None
    if type(answer) is not dict or not answer.keys() <= lists:
        return None
    if not all(type(value) is list for value in answer.values()):
        return None
    answer[METADATA] = {"RequestId": headers["x-amzn-requestid"]} if "x-amzn-requestid" in headers else {}
    return answer


def _is_text_attribute(value: Any) -> bool:
    return type(value) is dict and value.keys() <= ATTRIBUTE_MEMBERS and None not in value.values()


def _members(node: ElementTree.Element, known: frozenset[str] | None) -> list[dict[str, Any]] | None:
    if known is None:
        return None
    entries: list[dict[str, Any]] = []
    for member in node:
        texts = _texts(member)
        if texts is None or _name(member) != "member" or not texts.keys() <= known:
            return None
        entry: dict[str, Any] = texts
        if "SenderFault" in texts:
            entry["SenderFault"] = texts["SenderFault"] == "true"
        entries.append(entry)
    return entries


def _texts(node: ElementTree.Element) -> dict[str, Any] | None:
    """The texts of the children by name; None if a name repeats or a child has children."""
    texts = {}
    for child in node:
        name = _name(child)
        if len(child) or name in texts:
            return None
        texts[name] = child.text or ""
    return texts


def _children(node: ElementTree.Element) -> dict[str, ElementTree.Element] | None:
    children = {_name(child): child for child in node}
    return children if len(children) == len(node) else None


def _name(node: ElementTree.Element) -> str:
    return node.tag[node.tag.rfind("}") + 1 :]
