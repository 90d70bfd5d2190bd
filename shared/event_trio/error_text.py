"""What may be said of an error: its kind, its codes and where it was raised, for texts may quote personal data."""

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
"""The most errors of a chain that are told."""


def describe(error: BaseException) -> str:
    """An error for a log line or a page. Ours say what they say; of others only the kind and codes are told."""
    kind = type(error).__name__
    if isinstance(error, EventTrioError):
        return f"{kind}: {error}"
    facts = ", ".join(_facts(error))
    return f"{kind} ({facts})" if facts else kind


def operator_text(error: BaseException) -> str:
    """An error for the row that an operator reads beside the event itself.

    What is raised on purpose by the code at hand says what it says; what a library raises may quote rows and addresses.
    """
    return str(error) if isinstance(error, EventTrioError) else _in_its_words(error)


def raised_at(error: BaseException) -> str | None:
    """Where it was raised, in the project's own code as near as can be: `module:line`."""
    found: str | None = None
    for module, line, own in _places(error.__traceback__):
        if own or found is None:
            found = f"{module}:{line}"
    return found


def format_traceback(error: BaseException) -> str:
    """A traceback without values and without the texts of libraries: the chain of errors, and the lines of code."""
    return "\n".join(_chain(error))


def field_path(location: Iterable[object]) -> str:
    """The path of a field in a model. Where the input itself names the field, it says no more than that."""
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
            current, how = current.__cause__, "which caused:"
        elif not current.__suppress_context__:
            current, how = current.__context__, "while this was handled, another came:"
        else:
            current = None
    # As Python does: the first cause first.
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
    yield _in_its_words(error)
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


def _places(trace: TracebackType | None) -> Iterator[tuple[str, int, bool]]:
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        yield module, trace.tb_lineno, not _is_library(module, frame.f_code.co_filename)
        trace = trace.tb_next


def _in_its_words(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text and _chose_its_words(error, text) else describe(error)


def _chose_its_words(error: BaseException, text: str) -> bool:
    """Whether the code at hand wrote the text itself, rather than a library, or an operation that quotes a value."""
    if isinstance(error, EventTrioError):
        return True
    quotes = isinstance(error, LookupError | UnicodeError | BaseExceptionGroup) or hasattr(error, "sqlstate")
    if quotes or _of_library(type(error)) or (isinstance(error, OSError) and error.errno is not None):
        return False
    places = list(_places(error.__traceback__))
    if places and not places[-1][2]:
        return False
    behind = [before for before in (error.__cause__, error.__context__) if before is not None]
    return not any(line in text for before in behind for line in str(before).splitlines() if line.strip())


def _of_library(kind: type[BaseException]) -> bool:
    module = sys.modules.get(kind.__module__)
    return kind.__module__ != "builtins" and _is_library(kind.__module__, getattr(module, "__file__", None) or "")


def _is_library(module: str, file: str) -> bool:
    return "site-packages" in file or "dist-packages" in file or module.partition(".")[0] in sys.stdlib_module_names


def _facts(error: BaseException) -> Iterator[str]:
    """Codes, and names that come from the schema: never a value."""
    raw = getattr(error, "orig", None) or error
    if isinstance(state := getattr(raw, "sqlstate", None), str):
        yield state
        # The wrapper keeps what the driver raised as its cause.
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
    """The answer's code, of errors that speak of one: HTTP, AWS, SMTP."""
    answer = getattr(error, "response", None)
    if isinstance(answer, Mapping):
        return answer.get("Error", {}).get("Code")
    status = getattr(answer, "status_code", None)
    return status if status is not None else _integer(getattr(error, "code", None))


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _fields(problems: Any) -> Iterator[str]:
    """What is wrong with a model's fields, by pydantic's names for it."""
    for problem in problems(include_url=False, include_input=False, include_context=False)[:CHAIN]:
        yield f"{field_path(problem['loc'])}: {problem['type']}"
