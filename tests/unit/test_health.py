"""Readiness: required and optional checks, and checks that hang or raise."""

import asyncio

import pytest

from event_trio.http import health
from event_trio.http.health import Assessment, HealthCheck, assess
from services.relay.api.readiness import HealthState, checks


async def fine() -> str | None:
    return None


async def missing() -> str | None:
    return "the queue orders.fifo does not exist"


async def raising() -> str | None:
    raise ConnectionError("postgresql://user:hunter2@db")


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_passing_checks_are_ready() -> None:
    assert (await assess([HealthCheck("a", fine), HealthCheck("b", fine, required=False)])).status == "ready"


async def test_an_optional_check_degrades() -> None:
    found = await assess([HealthCheck("a", fine), HealthCheck("b", missing, required=False)])
    assert found.status == "degraded"
    assert found.checks["b"].detail == "the queue orders.fifo does not exist"


async def test_a_required_check_makes_it_not_ready() -> None:
    assert (await assess([HealthCheck("a", missing), HealthCheck("b", missing, required=False)])).status == "not_ready"


async def test_a_check_that_raises_shows_no_secrets() -> None:
    found = await assess([HealthCheck("a", raising)])
    assert found.status == "not_ready"
    assert "hunter2" not in found.model_dump_json()


async def test_a_check_that_hangs_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.01)
    found = await assess([HealthCheck("a", hanging), HealthCheck("b", fine)])
    assert (found.checks["a"].ok, found.checks["b"].ok) == (False, True)


async def test_concurrent_requests_share_one_run_of_the_checks() -> None:
    looks, release = [], asyncio.Event()

    async def look() -> str | None:
        looks.append(1)
        await release.wait()
        return None

    assessment = Assessment([HealthCheck("a", look)])
    pages = [asyncio.create_task(assessment.current()) for _ in range(50)]
    await asyncio.sleep(0)
    pages[0].cancel()
    release.set()
    found = await asyncio.gather(*pages[1:])
    assert {page.status for page in found} == {"ready"}
    assert len(looks) == 1
    await assessment.current()
    assert len(looks) == 2, "an answer is not kept unless that was asked for"


async def test_expensive_checks_are_cached() -> None:
    looks: list[float] = []
    now = [0.0]

    async def look() -> str | None:
        looks.append(now[0])
        return None if len(looks) > 1 else "the topic is missing"

    assessment = Assessment([HealthCheck("a", look, cache_seconds=5)], lambda: now[0])
    for seconds in (0.0, 1.0, 4.9):
        now[0] = seconds
        assert (await assessment.current()).status == "not_ready"
    now[0] = 5.0
    assert (await assessment.current()).status == "ready"
    assert looks == [0.0, 5.0]


@pytest.mark.parametrize(
    "detail",
    [
        "cannot connect to http://10.0.0.7:8080/secret",
        "10.0.0.7 refuses",
        "arn:aws:iam::123456789012:role/relay is not allowed",
        "db.internal:5432 is away",
        "ada@example.com was refused",
        "[Errno 111] Connect call failed",
        'password authentication failed for user "order_api"',
        "two\nlines",
        "x" * 301,
    ],
)
async def test_internal_details_are_only_logged(detail: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def leaking() -> str | None:
        return detail

    assessment = Assessment([HealthCheck("a", leaking)])
    for _ in range(3):
        found = await assessment.current()
        assert found.status == "not_ready"
        assert found.checks["a"].detail == "it fails; see the log"
    said = capsys.readouterr().out
    assert said.count("health.check_failing") == 1, "it is said when it changes"
    assert detail.splitlines()[0][:20] in said


@pytest.mark.parametrize(
    ("outage", "said"),
    [
        (None, None),
        ("KMSDisabled", "KMSDisabled"),
        ("no answer within 5 s", "no answer within 5 s"),
        ("topic order-events.fifo does not exist; deploy it", "topic order-events.fifo does not exist; deploy it"),
        ("EndpointConnectionError: Could not connect to http://10.0.0.7:4566/", "EndpointConnectionError"),
        ("AuthorizationError: User: arn:aws:iam::1:u is not allowed", "AuthorizationError: User"),
        ("cannot find queue a.fifo: EndpointConnectionError", "cannot find queue a.fifo: EndpointConnectionError"),
    ],
)
async def test_the_relay_reports_an_outage_by_its_code(outage: str | None, said: str | None) -> None:
    async def fine() -> str | None:
        return None

    def silent() -> str | None:
        return None

    readiness = HealthState(fine, fine, lambda: outage, silent, silent, silent, fine, silent, silent)
    found = await assess(checks(lambda: readiness, silent))
    assert found.checks["broker"].detail == said
