"""The application of a service has the routes of its routers as they were built at the import."""

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from event_trio.http.application import create_app
from event_trio.http.authorization import NoAuthenticator
from tests.support.web import client

router = APIRouter(prefix="/v1/names")


@router.get("")
async def name(request: Request) -> str:
    return str(request.app.state.name)


def application(of: str) -> FastAPI:
    return create_app(
        title=of,
        description="",
        routers=[router],
        authenticator=NoAuthenticator(),
        registry=CollectorRegistry(),
        checks=[],
        state={"name": of},
    )


def test_the_routes_are_not_built_again() -> None:
    made = [id(route) for route in application("one").routes]
    assert [route for route in router.routes if id(route) not in made] == []


async def test_applications_with_the_same_routes_have_a_state_and_a_document_each() -> None:
    async with client(application("one")) as one, client(application("other")) as other:
        assert [(await each.get("/v1/names")).json() for each in (one, other, one)] == ["one", "other", "one"]
        documents = [(await each.get("/openapi.json")).json() for each in (one, other)]
    assert [document["info"]["title"] for document in documents] == ["one", "other"]
    assert [document["paths"]["/v1/names"]["get"]["operationId"] for document in documents] == ["name", "name"]
