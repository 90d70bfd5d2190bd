"""Whether a process is alive, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

log = structlog.get_logger(__name__)

CHECK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a service needs.

    `run` returns None when it is fine, else a sentence that names what is missing. What is not `required` makes
    the service degraded, not unready.
    """

    name: str
    run: Callable[[], Awaitable[str | None]]
    required: bool = True


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


async def assess(checks: Sequence[Check]) -> Readiness:
    """Run all checks side by side, each within `CHECK_SECONDS`."""
    results = await asyncio.gather(*(_run(check) for check in checks))
    failed = [result for result in results if not result.ok]
    status: Literal["ready", "degraded", "not_ready"] = "degraded" if failed else "ready"
    if any(result.required for result in failed):
        status = "not_ready"
    return Readiness(status=status, checks={check.name: result for check, result in zip(checks, results, strict=True)})


def health_routes(checks: Sequence[Check], *, service: str) -> APIRouter:
    """`GET /livez` (no dependency is asked: a restart cures none of them) and `GET /readyz`; both open."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", summary="Whether the process is alive")
    async def livez() -> Liveness:
        return Liveness(service=service)

    @router.get(
        "/readyz",
        summary="Whether the service can do its work",
        responses={503: {"model": Readiness, "description": "Not ready; the checks say why"}},
    )
    async def readyz(response: Response) -> Readiness:
        readiness = await assess(checks)
        if readiness.status == "not_ready":
            response.status_code = 503
        return readiness

    return router


async def _run(check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            detail = await check.run()
    except TimeoutError:
        detail = f"no answer within {CHECK_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 - a check that raises is a check that failed
        # Its text may hold addresses or names of users: this page is open, the log is not.
        log.warning(
            "check failed", action="health.check_failed", check=check.name, error=f"{type(error).__name__}: {error}"
        )
        detail = f"failed ({type(error).__name__}); the log says more"
    return CheckResult(ok=detail is None, required=check.required, detail=detail)
