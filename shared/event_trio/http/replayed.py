"""The header that tells a stored response from that of a change."""

from __future__ import annotations

REPLAYED = "Idempotent-Replayed"
"""The header of a response that was stored before: nothing was changed for this request. Its value is `true`."""
