"""Names the extra that a missing package belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def requires(extra: str) -> Iterator[None]:
    """Import the modules of a package; raises ImportError that says what to install if one is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing == "event_trio":
            raise
        raise ImportError(
            f'{missing} is not installed, which the extra "{extra}" of event-trio installs: '
            f'pip install "event-trio[{extra}]"',
            name=error.name,
        ) from error
