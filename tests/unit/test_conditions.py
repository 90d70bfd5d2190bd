"""Conditional requests: the forms of If-Match and If-None-Match, and their responses."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Response
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse

from event_trio.http.conditions import ConditionMiddleware, IfMatch, expected_versions, has_current


@pytest.mark.parametrize(
    ("values", "versions"),
    [
        ([], None),
        (["*"], None),
        ([" * "], None),
        (['"3"'], {3}),
        (['"3", "5"'], {3, 5}),
        (['"3"', '"5"'], {3, 5}),
        ([' ,"3" ,,"5",'], {3, 5}),
        (['W/"3"'], set()),
        (['W/"3", "4"'], {4}),
        (['"03"', '"x"', '""', '"-1"', '"99999999999999"'], set()),
        (['"a,3", "b"'], set()),
    ],
)
def test_if_match_names_versions(values: list[str], versions: set[int] | None) -> None:
    assert expected_versions(values) == versions


@pytest.mark.parametrize(
    ("value", "current"),
    [
        ("", False),
        ("*", True),
        ('"3"', True),
        ('W/"3"', True),
        ('"2", W/"3"', True),
        ('"2"', False),
        ('"33"', False),
        ("3", False),
        ('"a", "b,3"', False),
    ],
)
def test_if_none_match_compares_weakly(value: str, current: bool) -> None:
    assert has_current(value, '"3"') is current
    assert has_current(value, 'W/"3"') is current


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(middleware=[Middleware(ConditionMiddleware)])

    @app.get("/v1/thing")
    async def thing(response: Response, version: str | None = None) -> dict[str, str]:
        if version:
            response.headers["ETag"] = f'"{version}"'
        return {"name": "thing"}

    @app.get("/v1/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    @app.get("/v1/error", status_code=404)
    async def error() -> dict[str, str]:
        return {}

    @app.get("/elsewhere")
    async def elsewhere() -> dict[str, str]:
        return {}

    @app.post("/v1/thing")
    async def change(if_match: IfMatch = None) -> dict[str, str]:
        return {}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as found:
        yield found


async def test_a_current_etag_is_answered_with_304(api: httpx.AsyncClient) -> None:
    first = await api.get("/v1/thing")
    assert re.fullmatch(r'"[0-9a-f]{32}"', first.headers["ETag"])
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = await api.get("/v1/thing", headers={"If-None-Match": f'"x", W/{first.headers["ETag"]}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert not {"content-type", "content-length"} & again.headers.keys()
    other = await api.get("/v1/thing", headers={"If-None-Match": '"x"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_a_route_s_own_etag_is_kept(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/thing", params={"version": "7"}, headers={"If-None-Match": '"6"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"7"')
    again = await api.get(
        "/v1/thing", params={"version": "7"}, headers=[("If-None-Match", '"6"'), ("If-None-Match", '"7"')]
    )
    assert again.status_code == 304


@pytest.mark.parametrize(("path", "status"), [("/v1/stream", 200), ("/v1/error", 404), ("/elsewhere", 200)])
async def test_only_complete_reads_have_an_etag(api: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await api.get(path, headers={"If-None-Match": "*"})
    assert answer.status_code == status
    assert "ETag" not in answer.headers
    assert answer.content


@pytest.mark.parametrize(
    ("value", "status"), [("*", 200), ('"1", W/"2"', 200), ("1", 422), ('"1', 422), ('*, "1"', 422)]
)
async def test_the_form_of_if_match_is_validated(api: httpx.AsyncClient, value: str, status: int) -> None:
    assert (await api.post("/v1/thing", headers={"If-Match": value})).status_code == status
