"""The reason that an operator gives for a change: what the audit keeps can be read."""

from __future__ import annotations

import re

# Whitespace, control characters, and characters that are not seen: of formats, and fillers that are letters by name.
_UNSEEN = (
    r"\s\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
REASON = rf"^[^\x00]*[^{_UNSEEN}][^\x00]*$"
"""The pattern of a reason: at least one character that is seen. Postgres cannot store U+0000."""
REASON_LINE = rf"^[^\x00-\x1f\x7f]*[^{_UNSEEN}][^\x00-\x1f\x7f]*$"
"""The same on one line, without control characters."""
_ANY_SEEN = re.compile(rf"[^{_UNSEEN}]")


def can_be_read(reason: str) -> bool:
    """Whether a reason has a character that is seen."""
    return _ANY_SEEN.search(reason) is not None
