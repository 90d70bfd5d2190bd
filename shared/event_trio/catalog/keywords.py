"""The extension keywords of this project in AsyncAPI documents."""

from __future__ import annotations

SERVICE = "x-service"
"""Of `info`: the name of the service."""
PROCESS = "x-process"
"""Of an operation: the process that performs it, the service itself or its relay."""
HANDLING = "x-handling"
"""Of an operation that receives: by message, the failure policy and the other options of its handler."""
