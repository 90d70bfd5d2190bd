"""Chooses the client that makes the calls that carry messages."""

from __future__ import annotations

import os
from typing import Literal, TypeAlias, cast, get_args

from ..errors import ConfigurationError

ClientChoice: TypeAlias = Literal["lean", "stock"]
"""LeanClient, or the AWS SDK's own."""


def client_choice() -> ClientChoice:
    """The client that AWS_CLIENT names; `lean` if it is unset. Raises ConfigurationError."""
    chosen = os.environ.get("AWS_CLIENT", "").strip() or "lean"
    if chosen not in get_args(ClientChoice):
        raise ConfigurationError(f"AWS_CLIENT is {chosen!r}: set it to {' or '.join(get_args(ClientChoice))}")
    return cast(ClientChoice, chosen)
