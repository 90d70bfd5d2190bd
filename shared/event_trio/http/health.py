"""Whether a process is alive, and whether it can do its work."""

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
"""For so long one look at the broker answers everybody: the page is open, and each look costs calls."""

# These pages are open. What a check says is a sentence of ours with names of things that were deployed; what looks like
# an address, an account or a piece of an error's text came in by mistake, and stays in the log.
LONGEST = 300
INTERNAL = re.compile(
    r"://|arn:|@|\b\d{1,3}(\.\d{1,3}){3}\b|\b[a-z][\w.-]*:\d{2,5}\b|\[Errno|\bpassword\b|[\n\r\x00]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing that a service needs.

    `run` returns None when it is fine, else a sentence that names what is missing, the same as long as that is the
    same: an open page shows it. What is not `required` makes the service degraded, not unready. An answer serves for
    `cache_seconds`.
    """

    name: str
    run: Callable[[], Awaitable[str | None]]
    required: bool = True
    cache_seconds: float = 0.0


class CheckResult(BaseModel):
    """How one check went."""

    ok: bool
    required: bool = Field(description="Whether the service is not ready without it.")
    detail: str | None = Field(None, description="What is missing.")


class Readiness(BaseModel):
    """Whether the service can do its work; `degraded` is ready, with something amiss."""

    status: Literal["ready", "degraded", "not_ready"]
    checks: dict[str, CheckResult]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"
    service: str = Field(description="What the process calls itself.", examples=["Order service"])


async def assess(checks: Sequence[HealthCheck]) -> Readiness:
    """Run all checks side by side, each within `CHECK_SECONDS`."""
    return await Assessment(checks).current()


class Assessment:
    """How the checks went. However many ask and however often, a check runs once at a time at the most."""

    def __init__(self, checks: Sequence[HealthCheck], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._monotonic = monotonic
        self._fresh: dict[str, tuple[float, str | None]] = {}
        self._said: dict[str, str] = {}
        self._running: asyncio.Task[Readiness] | None = None

    async def current(self) -> Readiness:
        """How they go now, or went a moment ago; who asks while they run waits for the same answer."""
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
        """What the page may show; the log hears of it when it changes."""
        if detail != self._said.get(name):
            if detail is None:
                del self._said[name]
                log.info("check is fine again", action="health.check_fine", check=name)
            else:
                self._said[name] = detail
                log.warning("check fails", action="health.check_failing", check=name, detail=detail)
        if detail is not None and (len(detail) > LONGEST or INTERNAL.search(detail)):
            return "it fails; the log says why"
        return detail


def health_routes(checks: Sequence[HealthCheck], *, service: str) -> APIRouter:
    """`GET /livez` (no dependency is asked: a restart cures none of them) and `GET /readyz`; both open."""
    router = APIRouter(tags=["health"])
    assessment = Assessment(checks)

    @router.get("/livez", summary="Whether the process is alive")
    async def livez() -> Liveness:
        return Liveness(service=service)

    @router.get(
        "/readyz",
        summary="Whether the service can do its work",
        responses={503: {"model": Readiness, "description": "Not ready; the checks say why"}},
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
        return f"no answer within {CHECK_SECONDS:.0f} s"
    except Exception as error:
        log.exception("check failed", action="health.check_failed", check=check.name, error=describe(error))
        return "it failed; the log says more"
