"""The correlation id and the trace of a request: used if valid, otherwise generated."""

import json
import logging as stdlib_logging
from collections.abc import AsyncIterator, Iterator
from io import StringIO

import httpx
import pytest
import structlog
from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from event_trio.http.application import create_app
from event_trio.http.authorization import NoAuthenticator
from event_trio.observability import logging
from event_trio.observability.request_context import RequestContext, current_context
from event_trio.observability.tracing import Traceparent
from tests.support.web import client

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def lines() -> Iterator[StringIO]:
    root = stdlib_logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = StringIO()
    logging.configure("test", "info", "json", stream)
    yield stream
    root.handlers, root.level = before, level
    stdlib_logging.captureWarnings(False)


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    router = APIRouter()

    @router.get("/context/{id}")
    async def show(id: str) -> dict[str, str]:
        structlog.get_logger("inside").info("working", action="test.working", recipient="ada@example.com")
        stdlib_logging.getLogger("a.library").warning("from %s", "a library")
        return {"correlation_id": current_context().correlation_id, "traceparent": current_context().traceparent}

    @router.get("/broken")
    async def broken() -> None:
        recipient = "".join(["ada", "@example.com"])
        raise RuntimeError(f"inside {len(recipient)}")

    registry = CollectorRegistry()
    app = create_app(
        title="t", description="", routers=[router], authenticator=NoAuthenticator(), registry=registry, checks=[]
    )
    async with client(app) as found:
        yield found


async def test_a_caller_writes_no_text_into_the_log_by_an_unknown_method(
    api: httpx.AsyncClient, lines: StringIO
) -> None:
    await api.request("CANARY", "/context/1")
    assert "CANARY" not in lines.getvalue()
    assert read(lines)["http.request"]["method"] == "_OTHER"


def read(lines: StringIO) -> dict[str, dict[str, object]]:
    return {entry["action"]: entry for entry in map(json.loads, lines.getvalue().splitlines())}


async def test_valid_values_of_the_caller_are_kept(api: httpx.AsyncClient) -> None:
    answer = await api.get("/context/1", headers={"X-Correlation-ID": "a.b:c_d-1", "traceparent": TRACE})
    assert answer.json() == {"correlation_id": "a.b:c_d-1", "traceparent": TRACE}
    assert answer.headers["X-Correlation-ID"] == "a.b:c_d-1"


@pytest.mark.parametrize("bad", ["", "a b", "a" * 129, 'x"y', "a\u00e9"])
async def test_invalid_values_are_replaced(api: httpx.AsyncClient, bad: str) -> None:
    headers = {b"X-Correlation-ID": bad.encode("latin-1"), b"traceparent": b"garbage"}
    answer = (await api.get("/context/1", headers=headers)).json()
    assert answer["correlation_id"] not in ("", bad)
    assert Traceparent.parse(answer["traceparent"]) is not None


def test_outside_a_request_the_context_is_new() -> None:
    assert current_context() != current_context()
    assert RequestContext.new("given", TRACE) == RequestContext("given", TRACE)


async def test_every_line_of_a_request_carries_its_ids(lines: StringIO, api: httpx.AsyncClient) -> None:
    await api.get("/context/secret-7", headers={"X-Correlation-ID": "c-1", "traceparent": TRACE})
    found = read(lines)
    for action in ("test.working", "library.a", "http.request"):
        assert found[action]["correlation_id"] == "c-1"
        assert found[action]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert found[action]["service"] == "test"
    assert found["library.a"]["message"] == "from a library"
    assert (found["http.request"]["route"], found["http.request"]["status"]) == ("/context/{id}", 200)


async def test_neither_personal_data_nor_paths_are_logged(lines: StringIO, api: httpx.AsyncClient) -> None:
    await api.get("/context/secret-7")
    assert "ada@example.com" not in lines.getvalue()
    assert "secret-7" not in lines.getvalue()
    assert read(lines)["test.working"]["recipient"] == "[withheld]"


async def test_an_unexpected_error_is_logged_with_its_traceback(lines: StringIO, api: httpx.AsyncClient) -> None:
    answer = await api.get("/broken")
    assert answer.status_code == 500
    failed = read(lines)["http.failed"]
    assert failed["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert "RuntimeError: inside 15" in str(failed["exception"])
    assert "ada@example.com" not in lines.getvalue()


async def test_requests_are_measured_by_route(api: httpx.AsyncClient) -> None:
    await api.get("/context/1")
    metrics = (await api.get("/metrics")).text
    assert 'http_route="/context/{id}"' in metrics
    assert 'http_response_status_code="200"' in metrics


def test_console_lines_are_readable(lines: StringIO) -> None:
    stream = StringIO()
    logging.configure("test", "info", "console", stream)
    structlog.get_logger("x").info("hello", action="test.hello")
    stdlib_logging.getLogger("uvicorn.error").info("started")
    first, second = stream.getvalue().splitlines()
    assert "hello" in first
    assert "test.hello" in first
    assert "library.uvicorn" in second


def test_console_tracebacks_show_no_local_variables(lines: StringIO) -> None:
    stream = StringIO()
    logging.configure("test", "info", "console", stream)
    try:
        recipient = "".join(["ada", "@example.com"])
        raise RuntimeError(f"inside {len(recipient)}")
    except RuntimeError:
        structlog.get_logger("x").exception("failed", action="test.failed")
    assert "RuntimeError: inside 15" in stream.getvalue()
    assert "ada@example.com" not in stream.getvalue()
