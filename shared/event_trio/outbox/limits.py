"""The broker's limits, checked before an event is recorded, so that an invalid event fails the transaction.

After the commit it would be too late: AWS rejects an invalid entry, and LocalStack reports success and drops it. The
relay checks the rows that it reads as well, because another program may have written them, and holds invalid events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import EventRejected

# AWS: API_SetTopicAttributes, MaximumMessageSize: of a message with its attributes, and of a batch.
DEFAULT_BYTES = 256 * 1024
SMALLEST_BYTES = 1024
LARGEST_BYTES = 1024 * 1024
# AWS: sns-message-attributes: a raw-delivered message with more than ten is discarded.
ATTRIBUTES = 10
# AWS: API_Publish, MessageGroupId and MessageDeduplicationId: up to 128 alphanumeric and punctuation characters.
GROUP = re.compile(r"""[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}""")
# AWS: sns-message-attributes, Name.
ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.\-]{1,256}(?<!\.)")
# AWS: API_SendMessage, MessageBody: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def size(body: bytes, attributes: Mapping[str, str]) -> int:
    """Return the bytes that count against the broker's limit: body, and names, types and values of attributes."""
    return len(body) + sum(
        len(name.encode()) + len("String") + len(value.encode()) for name, value in attributes.items()
    )


def check(body: bytes, *, group: str, attributes: object, most: int = DEFAULT_BYTES) -> None:
    """Raise EventRejected for an event that the broker would not accept, naming the limit and the excess.

    `most` is the topic's `MaximumMessageSize` in bytes. `attributes` may be anything, because the relay also checks
    rows that another program has written.
    """
    if not body:
        raise EventRejected("the event is empty; the broker accepts no empty message")
    if not GROUP.fullmatch(group):
        raise EventRejected(
            f"the subject ({len(group)} characters) cannot be a message group: that is 1 to 128 letters, digits "
            "or punctuation updates, without a space"
        )
    named = _texts(attributes)
    if len(named) > ATTRIBUTES:
        raise EventRejected(f"{len(named)} attributes; SNS discards a message with more than {ATTRIBUTES}")
    for name, value in named.items():
        if not ATTRIBUTE_NAME.fullmatch(name):
            raise EventRejected(
                f"{name[:100]!r} cannot be the name of an attribute: 1 to 256 letters, digits, '_', '-' or '.'"
            )
        if not value or FORBIDDEN.search(value):
            raise EventRejected(f"attribute {name!r} is empty or has a character that the broker does not accept")
    if (bytes_ := size(body, named)) > most:
        raise EventRejected(f"the event is {bytes_} bytes with its attributes; the topic takes {most} (MESSAGE_BYTES)")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise EventRejected(f"the event is not UTF-8 text (byte {error.start}); the broker accepts only text") from None
    if found := FORBIDDEN.search(text):
        raise EventRejected(f"the event has the character U+{ord(found[0]):04X}, which the broker does not accept")


def _texts(attributes: object) -> Mapping[str, str]:
    if not isinstance(attributes, Mapping):
        raise EventRejected(f"the attributes are not a mapping but of type {type(attributes).__name__}")
    for name, value in attributes.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise EventRejected(f"attribute {str(name)[:100]!r} is not text but of type {type(value).__name__}")
    return attributes
