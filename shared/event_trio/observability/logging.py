"""Logging: all lines of a process, including those of libraries, in one format."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import ExcInfo, Processor

from ..error_text import describe, format_traceback

Format = Literal["auto", "json", "console"]

# Never logged: credentials, and personal data of events.
WITHHELD = frozenset({"authorization", "database_url", "password", "recipient", "token"})

# Libraries that log too much at the level of the service.
QUIET = {
    "aiobotocore": "WARNING",
    "asyncio": "WARNING",
    "botocore": "WARNING",
    "httpx": "WARNING",
    "urllib3": "WARNING",
}

# Logged by Alembic each time that the migrations are read.
NOISE = {"alembic.runtime.migration": ("Context impl", "Will assume")}

# Requests are logged by `event_trio.http.access_log`, with the correlation id.
SILENT = ("uvicorn.access",)


def configure(
    service: str, level: str = "info", format: Format = "auto", stream: TextIO | None = None, *, final: bool = False
) -> None:
    """Write all log lines of this process to `stream` (standard output by default), as JSON or for a terminal.

    `auto` is `console` on a terminal and `json` elsewhere. It may be called again; the last call applies. After a call
    with `final` it must not: each logger is made once, at its first line, and not for each line.
    """
    output = stream or sys.stdout
    as_json = format == "json" or (format == "auto" and not output.isatty())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        _ServiceAndAction(service),
        _describe_errors,
        _withhold,
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=final,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before[:-3], structlog.stdlib.ExtraAdder(), *before[-3:], _without_colours],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(as_json, output)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    _tame_libraries()


class _ServiceAndAction:
    """Adds the service, and the action `library.<name>` to the lines of libraries."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", self._service)
        event.setdefault("action", f"library.{str(event.get('logger', 'unknown')).partition('.')[0]}")
        return event


class _WithoutPrefixes(logging.Filter):
    """Drops messages with certain prefixes."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        super().__init__()
        self._prefixes = prefixes

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._prefixes)


class _FirstLine(logging.Filter):
    """Keeps the first line of a message: asyncio appends the error of a task, with its text."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
        return True


def _withhold(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in WITHHELD & event.keys():
        event[name] = "[withheld]"
    return event


def _describe_errors(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Describe errors that are values of fields, which would be rendered with their texts."""
    for name, value in event.items():
        if isinstance(value, BaseException) and name != "exc_info":
            event[name] = describe(value)
    return event


def _without_colours(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("color_message", None)  # uvicorn's copy of the message
    return event


def _rendering(as_json: bool, output: TextIO) -> list[Processor]:
    if as_json:
        return [
            structlog.processors.EventRenamer("message"),
            structlog.processors.ExceptionRenderer(_traceback),
            structlog.processors.JSONRenderer(default=str),
        ]
    return [
        structlog.dev.ConsoleRenderer(colors=output.isatty(), sort_keys=False, exception_formatter=_write_traceback)
    ]


def _traceback(exc_info: ExcInfo) -> str:
    """Types and lines of code only: error texts quote rows, and local variables contain them."""
    return format_traceback(exc_info[1])


def _write_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    output.write("\n" + _traceback(exc_info))


def _tame_libraries() -> None:
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("uvicorn", "alembic", "sqlalchemy", "fastapi")):
            logger = logging.getLogger(name)
            logger.handlers = []
            logger.propagate = True
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    for name, prefixes in NOISE.items():
        logging.getLogger(name).filters = [_WithoutPrefixes(prefixes)]
    logging.getLogger("asyncio").filters = [_FirstLine()]
    for name in SILENT:
        logging.getLogger(name).disabled = True
