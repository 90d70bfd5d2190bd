"""`event-trio redrives` and `dead-letters failures` against a running service."""

from collections.abc import AsyncIterator

import pytest

from services.notification.main import build
from tests.support.command import CommandResult, event_trio
from tests.support.databases import TestDatabase, execute
from tests.support.letters import letters
from tests.support.notifications import notification_settings
from tests.support.serving import serving

COUNT = 60
WHY = ("--reason", "the carrier is back")


@pytest.fixture
async def url(notifications_database: TestDatabase) -> AsyncIterator[str]:
    await execute(notifications_database.url, *letters("notification", COUNT))
    settings = notification_settings(notifications_database)
    async with serving(build(settings)) as found:
        yield found


async def test_a_redrive_is_counted_started_followed_and_stopped(url: str) -> None:
    async def command(*arguments: str, noun: str = "redrives") -> CommandResult:
        return await event_trio(noun, *arguments, EVENT_TRIO_CONSUMER_URL=url)

    (failed,) = (await command("failures", "--json", noun="dead-letters")).data["items"]
    assert failed["messages"] == COUNT
    chosen = ("--fingerprint", failed["fingerprint"])
    counted = await command("start", *WHY, *chosen, "--dry-run", "--json")
    assert counted.data["items"][0]["messages"]["value"] == COUNT
    assert (await command("start", *WHY)).status == 2
    assert (await command("start", *WHY, "--group", "nobody", "--yes")).status == 1
    assert "nothing was changed" in (await command("start", *WHY, *chosen)).err
    begun = await command("start", *WHY, *chosen, "--rate", "0.01", "--yes", "--no-wait", "--json")
    number = str(begun.data["items"][0]["id"])
    assert "under way" in (await command("show", number)).out
    assert "stopped by" in (await command("stop", number, *WHY, "--yes")).out
    assert (await command("stop", number, *WHY, "--yes")).status == 1
    followed = await command("show", number, "--wait")
    assert "stopped by" in followed.out, followed.err
    assert number in (await command("list")).out
