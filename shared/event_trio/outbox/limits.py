"""What the broker carries, checked before an event is recorded: afterwards it would be too late to say no.

The relay checks again what it reads, for a row may have been written by somebody else: what does not pass is held.

AWS refuses such an entry when the business transaction is long committed; LocalStack answers that it
succeeded and drops it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import EventRejected

# AWS: API_SetTopicAttributes, MaximumMessageSize: of a message with its attributes, and of a batch.
DEFAULT_BYTES = 256 * 1024
SMALLEST_BYTES = 1024
LARGEST_BYTES = 1024 * 1024
# AWS: sns-message-attributes: a raw-delivered message with more than ten is thrown away.
ATTRIBUTES = 10
# AWS: API_Publish, MessageGroupId and MessageDeduplicationId: up to 128 alphanumeric and punctuation characters.
GROUP = re.compile(r"""[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}""")
# AWS: sns-message-attributes, Name.
ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.\-]{1,256}(?<!\.)")
# AWS: API_SendMessage, MessageBody: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def size(body: bytes, attributes: Mapping[str, str]) -> int:
    """Bytes that count against the broker's limit: the body and each attribute's name, type and value."""
    return len(body) + sum(
        len(name.encode()) + len("String") + len(value.encode()) for name, value in attributes.items()
    )


def check(body: bytes, *, group: str, attributes: object, most: int = DEFAULT_BYTES) -> None:
    """Raise EventRejected, saying which limit and by how much, for an event that the broker would not carry.

    `most` is the topic's `MaximumMessageSize` in bytes. Nothing else is taken for granted: the relay asks about rows
    that somebody else may have written.
    """
    if not body:
        raise EventRejected("the event is empty; the broker carries no empty message")
    if not GROUP.fullmatch(group):
        raise EventRejected(
            f"the subject ({len(group)} characters) cannot be a message group: that is 1 to 128 letters, digits "
            "or punctuation updates, without a space"
        )
    named = _texts(attributes)
    if len(named) > ATTRIBUTES:
        raise EventRejected(f"{len(named)} attributes; with more than {ATTRIBUTES} SNS throws the message away")
    for name, value in named.items():
        if not ATTRIBUTE_NAME.fullmatch(name):
            raise EventRejected(
                f"{name[:100]!r} cannot be the name of an attribute: 1 to 256 letters, digits, '_', '-' or '.'"
            )
        if not value or FORBIDDEN.search(value):
            raise EventRejected(f"attribute {name!r} is empty or has a character that the broker does not carry")
    if (bytes_ := size(body, named)) > most:
        raise EventRejected(f"the event is {bytes_} bytes with its attributes; the topic takes {most} (MESSAGE_BYTES)")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise EventRejected(f"the event is no UTF-8 text (byte {error.start}); the broker carries text only") from None
    if found := FORBIDDEN.search(text):
        raise EventRejected(f"the event has the character U+{ord(found[0]):04X}, which the broker does not carry")


def _texts(attributes: object) -> Mapping[str, str]:
    if not isinstance(attributes, Mapping):
        raise EventRejected(f"the attributes are no names with values but of type {type(attributes).__name__}")
    for name, value in attributes.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise EventRejected(f"attribute {str(name)[:100]!r} is no text but of type {type(value).__name__}")
    return attributes
