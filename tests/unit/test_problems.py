"""Every error is a problem with a correlation id and without internal details."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from asyncpg import InternalClientError, PostgresError
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from event_trio.errors import EventRejected
from event_trio.http.application import create_app
from event_trio.http.authorization import NoAuthenticator
from event_trio.http.database import NOT_MIGRATED, PRIVILEGE_MISSING, READ_ONLY, UNCERTAIN, database_problems
from event_trio.http.problems import MEDIA_TYPE, HttpProblem, ProblemKind
from tests.support.web import client

SECRET = "hunter2-at-10.0.0.7"

# A read-only database, one that lets nobody in, is missing, short of connections, in a deadlock, out of time, without
# grants; and a violated constraint.
STATES = {
    **dict.fromkeys(
        ("25006", "28000", "28P01", "3D000", "53300", "57P03", "40001", "40P01", "57014", "42501", "42P01"), 503
    ),
    "23505": 500,
}


class Body(BaseModel):
    amount: int
    lines: list[dict[str, int]] = []


class OurError(Exception):
    """An error of the domain."""


def application() -> FastAPI:
    router = APIRouter()

    @router.post("/bodies")
    async def take(body: Body) -> Body:
        return body

    @router.get("/bodies")
    async def show() -> None: ...

    @router.get("/files/{path:path}")
    async def read_file(path: str) -> None: ...

    @router.post("/files/{path:path}/lock")
    async def lock_file(path: str) -> None: ...

    @router.get("/raise/{what}")
    async def fail(what: str) -> None:
        raise {
            "ours": OurError(),
            "refused": EventRejected("too large"),
            "unexpected": RuntimeError(SECRET),
            "database-down": OperationalError("SELECT 1", {}, Exception(SECRET)),
            "database-bug": DBAPIError("SELECT x", {}, _with_sqlstate("42703")),
            "lock-timeout": DBAPIError("SELECT x", {}, _with_sqlstate("55P03")),
            "bad-value": _from_driver(ValueError(SECRET)),
            "lost-connection": _from_driver(None),
            "ended-connection": InternalClientError(f"cannot switch to state 12; {SECRET}"),
            "refused-connection": ConnectionRefusedError(SECRET),
            "missing-file": FileNotFoundError(2, SECRET, SECRET),
            **{f"bare-{state}": PostgresError.new({"C": state, "M": SECRET}) for state in STATES},
            **{f"wrapped-{state}": DBAPIError("SELECT x", {}, _with_sqlstate(state)) for state in STATES},
        }[what]

    return create_app(
        title="t",
        description="",
        routers=[router],
        authenticator=NoAuthenticator(),
        registry=CollectorRegistry(),
        checks=[],
        translation={
            OurError: lambda _: HttpProblem(ProblemKind("ours", "Ours", 409), "because", state="held"),
            **database_problems(),
        },
        body_bytes=1000,
    )


def _from_driver(cause: Exception | None) -> InterfaceError:
    spoken = Exception(SECRET)
    spoken.__cause__ = cause
    return InterfaceError("SELECT x", {}, spoken)


def _with_sqlstate(state: str) -> Exception:
    error = Exception(SECRET)
    error.sqlstate = state  # type: ignore[attr-defined]
    return error


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    async with client(application()) as found:
        yield found


def problem(answer: httpx.Response) -> dict[str, object]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    body: dict[str, object] = answer.json()
    assert body["status"] == answer.status_code
    assert body["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert SECRET not in answer.text
    return body


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ('{"amount": "x"}', "amount"),
        ("{}", "amount"),
        ('{"amount": 1, "lines": [{"a": 1}, {"a": "secret"}]}', "lines.1.a"),
        ('{"amount": ', ""),
        ("[1]", ""),
        ('"\\ud800"', ""),
    ],
)
async def test_an_invalid_body_is_422_with_the_field(api: httpx.AsyncClient, content: str, field: str) -> None:
    answer = await api.post("/bodies", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    errors = problem(answer)["errors"]
    assert isinstance(errors, list)
    assert (errors[0]["location"], errors[0]["field"]) == ("body", field)
    assert "secret" not in answer.text


async def test_a_body_that_is_no_text_is_the_documented_problem(api: httpx.AsyncClient) -> None:
    body = b'{"amount": "\xff\xfe"}'
    answer = await api.post("/bodies", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, problem(answer)["type"]) == (400, "urn:problem-type:unreadable")


@pytest.mark.parametrize(
    ("what", "status", "kind"),
    [
        ("ours", 409, "urn:problem-type:ours"),
        ("refused", 422, "urn:problem-type:event-rejected"),
        ("unexpected", 500, "urn:problem-type:unexpected"),
        ("database-down", 503, "urn:problem-type:unavailable"),
        ("lock-timeout", 503, "urn:problem-type:unavailable"),
        ("bad-value", 500, "urn:problem-type:unexpected"),
        ("lost-connection", 503, "urn:problem-type:unavailable"),
        ("ended-connection", 503, "urn:problem-type:unavailable"),
        ("refused-connection", 503, "urn:problem-type:unavailable"),
        ("database-bug", 500, "urn:problem-type:unexpected"),
        ("missing-file", 500, "urn:problem-type:unexpected"),
    ],
)
async def test_exceptions_become_problems(api: httpx.AsyncClient, what: str, status: int, kind: str) -> None:
    answer = await api.get(f"/raise/{what}")
    assert (answer.status_code, problem(answer)["type"]) == (status, kind)


@pytest.mark.parametrize("wrapped", ["bare", "wrapped"])
@pytest.mark.parametrize(("state", "status"), STATES.items())
async def test_database_errors_are_503_unless_the_statement_is_wrong(
    api: httpx.AsyncClient, wrapped: str, state: str, status: int
) -> None:
    answer = await api.get(f"/raise/{wrapped}-{state}")
    assert answer.status_code == status
    assert problem(answer)["status"] == status
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize(
    ("state", "detail"),
    [("25006", READ_ONLY), ("57P03", UNCERTAIN), ("42P01", NOT_MIGRATED), ("42501", PRIVILEGE_MISSING)],
)
async def test_the_problem_names_the_cause(api: httpx.AsyncClient, state: str, detail: str) -> None:
    for form in ("bare", "wrapped"):
        assert problem(await api.get(f"/raise/{form}-{state}"))["detail"] == detail


async def test_a_problem_may_have_additional_members(api: httpx.AsyncClient) -> None:
    body = problem(await api.get("/raise/ours"))
    assert (body["title"], body["detail"], body["state"]) == ("Ours", "because", "held")


async def test_errors_of_the_framework_are_problems(api: httpx.AsyncClient) -> None:
    assert problem(await api.get("/nowhere"))["status"] == 404
    wrong_method = await api.delete("/bodies")
    assert problem(wrong_method)["status"] == 405
    assert wrong_method.headers["allow"] == "GET, POST"
    assert (await api.delete("/files/a/b/lock")).headers["allow"] == "POST"
    assert (await api.delete("/files/a/b")).headers["allow"] == "GET"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_413(api: httpx.AsyncClient, announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    content = b" " * 2000 if announced else chunks()
    answer = await api.post("/bodies", content=content, headers={"Content-Type": "application/json"})
    found = problem(answer)
    assert (found["status"], found["type"]) == (413, "urn:problem-type:too-large")


async def test_openapi_documents_problems_and_no_other_errors() -> None:
    document = application().openapi()
    responses = document["paths"]["/bodies"]["post"]["responses"]
    assert {"200", "413", "422", "500"} <= responses.keys()
    assert list(responses["422"]["content"]) == [MEDIA_TYPE]
    assert "HTTPValidationError" not in json.dumps(document)
    assert document["components"]["schemas"]["Problem"]["properties"]["correlation_id"]
