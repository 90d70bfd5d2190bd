"""Liveness and readiness of a process."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from ..error_text import describe

log = structlog.get_logger(__name__)

CHECK_SECONDS = 3.0
AWS_CACHE_SECONDS = 5.0
"""How long the result of a check of the broker is cached: the page is public, and each check costs API calls."""

# These pages need no authentication. The text of a check names deployed resources; anything that looks like an address,
# an account or part of an error text is there by mistake, and is only logged.
LONGEST = 300
INTERNAL = re.compile(
    r"://|arn:|@|\b\d{1,3}(\.\d{1,3}){3}\b|\b[a-z][\w.-]*:\d{2,5}\b|\[Errno|\bpassword\b|[\n\r\x00]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A check of something that a service needs.

    `run` returns None, or a sentence that names what is missing; the sentence stays the same while the cause does, and
    is public. A check that is not `required` makes the service degraded instead of not ready. The result is cached for
    `cache_seconds`.
    """

    name: str
    run: Callable[[], Awaitable[str | None]]
    required: bool = True
    cache_seconds: float = 0.0


class CheckResult(BaseModel):
    """The result of a check."""

    ok: bool
    required: bool = Field(description="Whether the service is not ready while this check fails.")
    detail: str | None = Field(None, description="What is missing.")


class Readiness(BaseModel):
    """Whether the service can work; `degraded` means ready, while a check that is not required fails."""

    status: Literal["ready", "degraded", "not_ready"]
    checks: dict[str, CheckResult]


class Liveness(BaseModel):
    """The process responds."""

    status: Literal["alive"] = "alive"
    service: str = Field(description="The name of the service.", examples=["Order service"])


async def assess(checks: Sequence[HealthCheck]) -> Readiness:
    """Run all checks concurrently, each within `CHECK_SECONDS`."""
    return await Assessment(checks).current()


class Assessment:
    """The results of the checks. However many callers ask, a check runs at most once at a time."""

    def __init__(self, checks: Sequence[HealthCheck], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._monotonic = monotonic
        self._fresh: dict[str, tuple[float, str | None]] = {}
        self._failing: dict[str, str] = {}
        self._running: asyncio.Task[Readiness] | None = None

    async def current(self) -> Readiness:
        """The current results. Callers that ask while the checks run wait for the same results."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._assess())
        return await asyncio.shield(self._running)

    async def _assess(self) -> Readiness:
        results = await asyncio.gather(*(self._result(check) for check in self._checks))
        failed = [result for result in results if not result.ok]
        status: Literal["ready", "degraded", "not_ready"] = "degraded" if failed else "ready"
        if any(result.required for result in failed):
            status = "not_ready"
        named = {check.name: result for check, result in zip(self._checks, results, strict=True)}
        return Readiness(status=status, checks=named)

    async def _result(self, check: HealthCheck) -> CheckResult:
        looked_at, detail = self._fresh.get(check.name, (None, None))
        now = self._monotonic()
        if looked_at is None or now - looked_at >= check.cache_seconds:
            detail = self._published(check.name, await _run(check))
            self._fresh[check.name] = (now, detail)
        return CheckResult(ok=detail is None, required=check.required, detail=detail)

    def _published(self, name: str, detail: str | None) -> str | None:
        """The text for the page; changes are logged."""
        if detail != self._failing.get(name):
            if detail is None:
                del self._failing[name]
                log.info("check succeeds again", action="health.check_recovered", check=name)
            else:
                self._failing[name] = detail
                log.warning("check fails", action="health.check_failing", check=name, detail=detail)
        if detail is not None and (len(detail) > LONGEST or INTERNAL.search(detail)):
            return "it fails; see the log"
        return detail


def health_routes(checks: Sequence[HealthCheck], *, service: str) -> APIRouter:
    """`GET /livez` and `GET /readyz`, without authentication.

    The first checks no dependency, because a restart fixes none.
    """
    router = APIRouter(tags=["health"])
    assessment = Assessment(checks)

    @router.get("/livez", summary="Check that the process is alive")
    async def livez() -> Liveness:
        return Liveness(service=service)

    @router.get(
        "/readyz",
        summary="Check that the service is ready",
        responses={503: {"model": Readiness, "description": "Not ready; the checks give the reasons"}},
    )
    async def readyz(response: Response) -> Readiness:
        readiness = await assessment.current()
        if readiness.status == "not_ready":
            response.status_code = 503
        return readiness

    return router


async def _run(check: HealthCheck) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check.run()
    except TimeoutError:
        return f"no result within {CHECK_SECONDS:.0f} s"
    except Exception as error:
        log.exception("check failed", action="health.check_failed", check=check.name, error=describe(error))
        return "it failed; see the log"
