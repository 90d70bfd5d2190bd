"""Finds out whether one of the tasks beside the relay's loop has failed."""

from __future__ import annotations

import asyncio

from event_trio.errors import EventTrioError


def raise_failure(
    recorder: asyncio.Task[None], reading: asyncio.Task[None] | None, broken: BaseException | None
) -> None:
    """Raise the failure of the recording, of a call (`broken`) or of a read, so that the loop starts again."""
    if recorder.cancelled():
        raise EventTrioError("the recording of acknowledgements was cancelled")
    failure = recorder.exception() if recorder.done() else broken
    if failure is None and reading is not None and reading.done() and not reading.cancelled():
        failure = reading.exception()
    if failure is not None:
        raise failure
