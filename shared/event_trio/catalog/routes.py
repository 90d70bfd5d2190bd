"""Routes that describe the events of a service: its AsyncAPI document and the schemas of what it publishes."""

from __future__ import annotations

from functools import cache, partial

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from ..contracts.schema import json_schema
from ..http.problems import NOT_FOUND, HttpProblem
from .asyncapi import served_document
from .messaging import Messaging

SCHEMA_MEDIA_TYPE = "application/schema+json"


def catalog_routes(messaging: Messaging, *, prefix: str) -> APIRouter:
    """`GET /asyncapi.json` and `GET /schemas/{type}/{version}`; like the OpenAPI document, they need no token."""
    router = APIRouter(include_in_schema=False)
    document = cache(partial(served_document, messaging, prefix=prefix))
    published = {(payload.type, str(payload.version)): payload for payload in messaging.events}

    @router.get("/asyncapi.json")
    async def asyncapi() -> JSONResponse:
        try:
            return JSONResponse(document())
        except FileNotFoundError:
            raise HttpProblem(NOT_FOUND, "the AsyncAPI document was not generated: run make reference") from None

    @router.get("/schemas/{type}/{version}")
    async def schema(type: str, version: str) -> JSONResponse:
        payload = published.get((type, version))
        if payload is None:
            raise HttpProblem(NOT_FOUND, "this service publishes no event of this type and version")
        return JSONResponse(json_schema(payload, messaging.schemas_url), media_type=SCHEMA_MEDIA_TYPE)

    return router
