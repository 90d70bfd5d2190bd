"""Builds request bodies: form encoding for SNS, JSON for SQS. The bytes are those that botocore would send.

A builder raises Unsupported for parameters outside the subset that this project uses. The stock client then makes the
call, or raises its own error about them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

SNS_VERSION = "2010-03-31"
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
SEPARATOR = "\0"
# The escapes of `urllib.parse.quote_plus`. The separator is not escaped.
ESCAPED = [bytes((byte,)) if byte in UNRESERVED else b"%%%02X" % byte for byte in range(256)]
ESCAPED[ord(" ")] = b"+"
ESCAPED[0] = b"\0"
# The bytes between the names and values of JSON. Finding that one is absent costs less than looking which are present.
PUNCTUATION = b'" :,{}[]/'
# Up to this many other bytes, one `replace` per distinct byte is faster than a table lookup per byte.
MOST_REPLACEMENTS = 30
EXPECTED = UNRESERVED + PUNCTUATION + b"\0"

ENTRY_TEXTS = frozenset({"Id", "Message", "Subject", "MessageStructure", "MessageDeduplicationId", "MessageGroupId"})
ATTRIBUTE_TEXTS = frozenset({"DataType", "StringValue"})
RECEIVE_NUMBERS = frozenset({"MaxNumberOfMessages", "VisibilityTimeout", "WaitTimeSeconds"})
RECEIVE_LISTS = frozenset({"AttributeNames", "MessageSystemAttributeNames", "MessageAttributeNames"})
RECEIVE_TEXTS = frozenset({"QueueUrl", "ReceiveRequestAttemptId"})


class Unsupported(Exception):
    """The lean path does not support these parameters, or this client's configuration."""


def publish_batch(parameters: Mapping[str, Any]) -> bytes:
    """The body of PublishBatch, for entries with text attributes."""
    _ensure(parameters.keys() == {"TopicArn", "PublishBatchRequestEntries"})
    keys = [f"Action=PublishBatch&Version={SNS_VERSION}".encode()]
    values = [""]
    for name, value in parameters.items():
        if name == "TopicArn":
            keys.append(b"&TopicArn=")
            values.append(value)
            continue
        for index, entry in enumerate(_entries(value), 1):
            _add_entry(index, entry, keys, values)
    escaped = _escape(values)
    return b"".join(chain.from_iterable(zip(keys, escaped, strict=True)))


def receive_message(parameters: Mapping[str, Any]) -> bytes:
    """The body of ReceiveMessage."""
    _ensure("QueueUrl" in parameters)
    for name, value in parameters.items():
        if name in RECEIVE_NUMBERS:
            _ensure(type(value) is int)
        elif name in RECEIVE_LISTS:
            _ensure(type(value) is list and all(type(each) is str for each in value))
        else:
            _ensure(name in RECEIVE_TEXTS and type(value) is str)
    return json.dumps(parameters).encode()


def delete_message_batch(parameters: Mapping[str, Any]) -> bytes:
    """The body of DeleteMessageBatch."""
    return _handles(parameters, frozenset({"Id", "ReceiptHandle"}))


def change_message_visibility_batch(parameters: Mapping[str, Any]) -> bytes:
    """The body of ChangeMessageVisibilityBatch, each entry with its timeout in seconds."""
    return _handles(parameters, frozenset({"Id", "ReceiptHandle", "VisibilityTimeout"}))


BUILDERS: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {
    "PublishBatch": publish_batch,
    "ReceiveMessage": receive_message,
    "DeleteMessageBatch": delete_message_batch,
    "ChangeMessageVisibilityBatch": change_message_visibility_batch,
}


def _handles(parameters: Mapping[str, Any], members: frozenset[str]) -> bytes:
    _ensure(parameters.keys() == {"QueueUrl", "Entries"} and type(parameters["QueueUrl"]) is str)
    for entry in _entries(parameters["Entries"]):
        if type(entry) is not dict or entry.keys() != members:
            raise Unsupported
        if type(entry["Id"]) is not str or type(entry["ReceiptHandle"]) is not str:
            raise Unsupported
        if type(entry.get("VisibilityTimeout", 0)) is not int:
            raise Unsupported
    return json.dumps(parameters).encode()


def _add_entry(index: int, entry: Any, keys: list[bytes], values: list[str]) -> None:
    if type(entry) is not dict:
        raise Unsupported
    layout: list[tuple[str, ...]] = []
    for name, value in entry.items():
        if name != "MessageAttributes":
            values.append(value)
            continue
        if type(value) is not dict:
            raise Unsupported
        for attribute, content in value.items():
            if type(content) is not dict:
                raise Unsupported
            values.append(attribute)
            values.extend(content.values())
            layout.append(tuple(content))
    keys.extend(_entry_keys(index, tuple(entry), tuple(layout)))


@lru_cache(maxsize=1024)
def _entry_keys(index: int, members: tuple[str, ...], attributes: tuple[tuple[str, ...], ...]) -> list[bytes]:
    """The form keys of an entry with these members, and attributes with these members, each before its value."""
    _ensure("Id" in members and "Message" in members)
    prefix = f"&PublishBatchRequestEntries.member.{index}."
    keys: list[str] = []
    for name in members:
        if name in ENTRY_TEXTS:
            keys.append(f"{prefix}{name}=")
            continue
        _ensure(name == "MessageAttributes")
        for place, content in enumerate(attributes, 1):
            _ensure("DataType" in content and ATTRIBUTE_TEXTS.issuperset(content))
            attribute = f"{prefix}MessageAttributes.entry.{place}."
            keys.append(f"{attribute}Name=")
            keys += [f"{attribute}Value.{member}=" for member in content]
    return [key.encode() for key in keys]


def _escape(values: list[str]) -> Iterable[bytes]:
    """Escape all values at once. A few passes over the joined values cost less than one call per value."""
    try:
        joined = SEPARATOR.join(values)
        text = joined.encode()
    except (TypeError, UnicodeEncodeError):
        raise Unsupported from None
    _ensure(joined.count(SEPARATOR) == len(values) - 1)
    special = set(text.translate(None, EXPECTED))
    if len(special) > MOST_REPLACEMENTS:
        return b"".join(map(ESCAPED.__getitem__, text)).split(b"\0")
    # These two come first, because the other escapes contain % and +.
    for byte in b"%+":
        if byte in special:
            text = text.replace(b"%c" % byte, ESCAPED[byte])
            special.remove(byte)
    for byte in (*special, *PUNCTUATION):
        text = text.replace(b"%c" % byte, ESCAPED[byte])
    return text.split(b"\0")


def _entries(value: Any) -> list[Any]:
    # The stock client encodes an empty batch, which the broker rejects.
    if type(value) is not list or not value:
        raise Unsupported
    return value


def _ensure(known: bool) -> None:
    if not known:
        raise Unsupported
