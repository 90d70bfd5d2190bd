"""Describes errors without personal data, which their texts may quote: by type, codes and the place of origin."""

from __future__ import annotations

import errno
import linecache
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from .errors import EventTrioError

FRAMES = 30
"""The most traceback lines of one error that are rendered; the innermost are kept."""
LONGEST_NAME = 60
CHAIN = 8
"""The most errors of a chain that are rendered."""


def describe(error: BaseException) -> str:
    """An error for a log line or a page: this library's errors with their text, others by type and codes only."""
    kind = type(error).__name__
    if isinstance(error, EventTrioError):
        return f"{kind}: {error}"
    facts = ", ".join(_facts(error))
    return f"{kind} ({facts})" if facts else kind


def operator_text(error: BaseException) -> str:
    """An error for the row that an operator reads together with the event.

    It has the text of errors that the application raises itself. Errors of libraries may quote rows and addresses, and
    are described by type and codes.
    """
    return str(error) if isinstance(error, EventTrioError) else _own_text(error)


def raised_at(error: BaseException) -> str | None:
    """Where the error was raised, as `module:line`: the innermost frame of the application's own code."""
    found: str | None = None
    for module, line, own in _frames(error.__traceback__):
        if own or found is None:
            found = f"{module}:{line}"
    return found


def format_traceback(error: BaseException) -> str:
    """A traceback with the chain of errors and the lines of code, without values and without texts of libraries."""
    return "\n".join(_chain(error))


def field_path(location: Iterable[object]) -> str:
    """The path of a field in a model. A part that is not an identifier comes from the input and becomes `?`."""
    return ".".join(str(part) if _is_name(part) else "?" for part in location) or "data"


def _is_name(part: object) -> bool:
    return isinstance(part, int) or (isinstance(part, str) and len(part) <= LONGEST_NAME and part.isidentifier())


def _chain(error: BaseException) -> Iterator[str]:
    chain: list[tuple[str, BaseException]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    how = ""
    while current is not None and id(current) not in seen and len(chain) < CHAIN:
        chain.append((how, current))
        seen.add(id(current))
        if current.__cause__ is not None:
            current, how = current.__cause__, "was the cause of:"
        elif not current.__suppress_context__:
            current, how = current.__context__, "during its handling, another error was raised:"
        else:
            current = None
    # As in Python's tracebacks, the first cause comes first.
    for number in range(len(chain) - 1, -1, -1):
        yield from _one(chain[number][1])
        if number:
            yield chain[number][0]


def _one(error: BaseException) -> Iterator[str]:
    lines = list(_lines(error.__traceback__))
    if lines:
        yield "Traceback (most recent call last):"
        if len(lines) > FRAMES:
            yield f"  ... {len(lines) - FRAMES} more"
        yield from lines[-FRAMES:]
    yield _own_text(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions[:CHAIN]:
            yield from (f"  | {line}" for line in _chain(inner))


def _lines(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        code = trace.tb_frame.f_code
        source = linecache.getline(code.co_filename, trace.tb_lineno, trace.tb_frame.f_globals).strip()
        yield f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}' + (
            f"\n    {source}" if source else ""
        )
        trace = trace.tb_next


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int, bool]]:
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        yield module, trace.tb_lineno, not _is_library(module, frame.f_code.co_filename)
        trace = trace.tb_next


def _own_text(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text and _wrote_text(error, text) else describe(error)


def _wrote_text(error: BaseException, text: str) -> bool:
    """Whether the application wrote the text, rather than a library or an operation that quotes a value."""
    if isinstance(error, EventTrioError):
        return True
    quotes = isinstance(error, LookupError | UnicodeError | BaseExceptionGroup) or hasattr(error, "sqlstate")
    if quotes or _of_library(type(error)) or (isinstance(error, OSError) and error.errno is not None):
        return False
    frames = list(_frames(error.__traceback__))
    if frames and not frames[-1][2]:
        return False
    behind = [before for before in (error.__cause__, error.__context__) if before is not None]
    return not any(line in text for before in behind for line in str(before).splitlines() if line.strip())


def _of_library(kind: type[BaseException]) -> bool:
    module = sys.modules.get(kind.__module__)
    return kind.__module__ != "builtins" and _is_library(kind.__module__, getattr(module, "__file__", None) or "")


def _is_library(module: str, file: str) -> bool:
    return "site-packages" in file or "dist-packages" in file or module.partition(".")[0] in sys.stdlib_module_names


def _facts(error: BaseException) -> Iterator[str]:
    """Codes, and names from the database schema; no values."""
    raw = getattr(error, "orig", None) or error
    if isinstance(state := getattr(raw, "sqlstate", None), str):
        yield state
        # The cause of the wrapper is the driver's error.
        driver = raw if hasattr(raw, "constraint_name") else raw.__cause__
        for name in ("table", "column", "constraint"):
            if isinstance(found := getattr(driver, f"{name}_name", None), str):
                yield f"{name} {found}"
    elif isinstance(error, OSError) and error.errno is not None:
        yield errno.errorcode.get(error.errno, str(error.errno))
    elif isinstance(error, BaseExceptionGroup):
        yield from (describe(inner) for inner in error.exceptions[:CHAIN])
    elif isinstance(code := _code(error), int | str):
        yield str(code)
    elif callable(problems := getattr(error, "errors", None)) and hasattr(error, "error_count"):
        yield from _fields(problems)


def _code(error: BaseException) -> object:
    """The code of the response, for errors of HTTP, AWS and SMTP clients."""
    answer = getattr(error, "response", None)
    if isinstance(answer, Mapping):
        return answer.get("Error", {}).get("Code")
    status = getattr(answer, "status_code", None)
    return status if status is not None else _integer(getattr(error, "code", None))


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _fields(problems: Any) -> Iterator[str]:
    """The invalid fields of a model, with pydantic's error types."""
    for problem in problems(include_url=False, include_input=False, include_context=False)[:CHAIN]:
        yield f"{field_path(problem['loc'])}: {problem['type']}"
