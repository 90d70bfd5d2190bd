"""The rate limit of callers."""

import httpx
import pytest
from fastapi import APIRouter, Depends
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from event_trio.http import rate_limit
from event_trio.http.application import create_app
from event_trio.http.authorization import RequireRole, authenticator
from event_trio.http.rate_limit import RateLimit, TooManyRequests
from event_trio.http.tokens import Role
from event_trio.settings import ServiceSettings


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(limit: RateLimit, caller: str = "ada") -> int:
    """The number of requests that are allowed now."""
    for number in range(1000):
        try:
            limit.take(caller)
        except TooManyRequests:
            return number
    return 1000


def test_a_burst_of_one_minute_s_requests_is_allowed() -> None:
    watch = Watch()
    limit = RateLimit(6, watch)
    assert taken(limit) == 6
    watch.now += 9.9
    assert taken(limit) == 0
    watch.now += 0.2
    assert taken(limit) == 1
    watch.now += 600
    assert taken(limit) == 6


def test_retry_after_is_exact() -> None:
    watch = Watch()
    limit = RateLimit(7, watch)
    assert taken(limit) == 7
    with pytest.raises(TooManyRequests) as refused:
        limit.take("ada")
    assert refused.value.retry_after == 9
    watch.now += refused.value.retry_after
    assert taken(limit) == 1


def test_callers_have_separate_limits() -> None:
    limit = RateLimit(2, Watch())
    assert [taken(limit, name) for name in ("ada", "bob", "ada")] == [2, 2, 0]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MOST_CALLERS", 3)
    watch = Watch()
    limit = RateLimit(1, watch)
    for number in range(10):
        limit.take(str(number))
    assert list(limit._due) == ["7", "8", "9"]
    watch.now += 61
    limit.take("last")
    assert list(limit._due) == ["last"]


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RateLimit(0)


async def test_too_many_requests_are_429_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServiceSettings(database_url=SecretStr("postgresql://u@x/d"), rate_limit_per_minute=2)
    router = APIRouter()

    @router.get("/v1/things", dependencies=[Depends(RequireRole(Role.OPERATOR))])
    async def list_things() -> list[str]:
        return []

    app = create_app(
        title="Things",
        description="",
        routers=[router],
        authenticator=authenticator(settings),
        registry=CollectorRegistry(),
        checks=[],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as api:
        answers = [await api.get("/v1/things") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[-1].json()["type"] == "urn:problem-type:too-many-requests"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
        assert (await api.get("/livez")).status_code == 200
