"""`event-trio outbox` against a running relay: its output, its questions and its errors."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import CommandResult, event_trio, event_trio_in_shell
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.operators import publish_all, refuse, relay_app
from tests.support.outbox import fill, query, record
from tests.support.serving import serving
from tests.support.tokens import AUDIENCE, ISSUER, Issuer
from tests.support.waiting import eventually

WHY = ("--reason", "because")


@pytest.fixture
async def relay_url(outbox_database: TestDatabase) -> AsyncIterator[str]:
    async with serving(relay_app(outbox_database)) as url:

        async def owns_all_lanes() -> bool:
            return not await query(outbox_database.url, "SELECT FROM outbox_lane WHERE owner IS NULL")

        await eventually(owns_all_lanes)
        yield url


async def outbox(url: str, *arguments: str, answer: str | None = None) -> CommandResult:
    return await event_trio("outbox", *arguments, answer=answer, EVENT_TRIO_RELAY_URL=url)


async def test_reads_print_tables_or_json(relay_url: str, outbox_database: TestDatabase) -> None:
    first, _ = await record(outbox_database.url_for(OUTBOX_WRITER), [("bad", 1), ("good", 1)])
    await refuse(outbox_database, first.id)
    commands: list[tuple[list[str], str]] = [
        (["status"], "held groups 1"),
        (["lanes"], "0-63 (64)"),
        (["held"], "InvalidParameter: no"),
        (["show", str(first.id)], "hold reason InvalidParameter: no"),
        (["show", "good"], "order.placed"),
    ]
    for command, expected in commands:
        shown = await outbox(relay_url, *command)
        assert (shown.status, shown.err) == (0, ""), command
        assert expected in " ".join(shown.out.split())
        assert "\x1b" not in shown.out
        machine = await outbox(relay_url, *command, "--json")
        assert (machine.status, machine.err) == (0, "")
        assert isinstance(machine.data, dict)
    assert (await outbox(relay_url, "held", "--json")).data["items"][0]["subject"] == "bad"
    assert (await outbox(relay_url, "show", str(first.id), "--json")).data["state"] == "held"


async def test_published_unknown_and_invalid_ids_differ(relay_url: str, outbox_database: TestDatabase) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("done", 1)])
    await publish_all(outbox_database)
    published = await outbox(relay_url, "show", "done")
    assert (published.status, "none; published up to sequence 1" in published.out) == (0, True)
    shown = " ".join((await outbox(relay_url, "show", str(event.id))).out.split())
    assert "failed attempts none" in shown
    for id in ("never", "019aacb4-e9aa-7e02-9b14-5d2c8f6a7b31"):
        unknown = await outbox(relay_url, "show", id)
        assert (unknown.status, unknown.out) == (1, "")
        assert f"Relay of order-events ({relay_url}) knows no event and no message group {id}" in unknown.err
    invalid = await outbox(relay_url, "show", "my last order")
    assert (invalid.status, invalid.out) == (2, "")
    assert "neither an event id (a UUID) nor a message group" in " ".join(invalid.err.replace("│", "").split())


async def test_a_group_is_held_and_released(relay_url: str, outbox_database: TestDatabase) -> None:
    await fill(outbox_database.url, 1, each=3_000)
    held = await outbox(relay_url, "hold", "s-1", *WHY, "--yes", "--json")
    assert (held.status, held.data["events"]) == (0, 100)
    released = await outbox(relay_url, "release", "s-1", *WHY, answer="y")
    assert (released.status, released.out) == (0, "released\n")
    assert "Release group s-1? [y/N]" in released.err
    assert await query(outbox_database.url, "SELECT FROM outbox_event WHERE held_at IS NOT NULL") == []
    audit = (await outbox(relay_url, "audit", "--group", "s-1", "--json")).data["items"]
    assert [(entry["action"], entry["actor"], entry["reason"]) for entry in audit] == [
        ("release", "local", "because"),
        ("hold", "local", "because"),
    ]


@pytest.mark.parametrize(
    ("answer", "message"),
    [("n", "nothing was changed"), (None, "--yes skips the question"), ("", "nothing was changed")],
)
async def test_an_unconfirmed_change_is_not_applied(
    relay_url: str, outbox_database: TestDatabase, answer: str | None, message: str
) -> None:
    refused = await outbox(relay_url, "pause", *WHY, answer=answer)
    assert (refused.status, refused.out) == (1, "")
    assert message in refused.err
    assert await query(outbox_database.url, "SELECT FROM outbox_audit") == []


async def test_an_event_is_discarded(relay_url: str, outbox_database: TestDatabase) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    early = await outbox(relay_url, "discard", str(event.id), *WHY, "--yes")
    assert (early.status, early.out) == (1, "")
    assert early.err == "error: only a held event can be discarded: hold its group first\n"
    await refuse(outbox_database, event.id, seconds_ago=1)
    early = await outbox(relay_url, "discard", str(event.id), *WHY, "--yes")
    assert "may still send it to the broker. Try again in " in early.err
    await refuse(outbox_database, event.id)
    done = await outbox(relay_url, "discard", str(event.id), *WHY, answer="yes")
    assert (done.status, done.out) == (0, "discarded; the rest of its group is released\n")
    assert "order.placed, sequence 1 of a: held" in done.err
    shown = await outbox(relay_url, "show", str(event.id))
    assert "discarded" in shown.out
    assert "because" in shown.out


async def test_a_replay_is_counted_before_it_is_confirmed(relay_url: str, outbox_database: TestDatabase) -> None:
    await fill(outbox_database.url, 2, each=3)
    await publish_all(outbox_database)
    dry = await outbox(relay_url, "replay", "--group", "s-1", "--since", "2h", "--dry-run", "--json")
    assert dry.data == {"dry_run": True, "events": 3, "replay": None}
    types = ("--type", "order.cancelled", "--type", "order.placed")
    both = await outbox(relay_url, "replay", *types, "--dry-run")
    assert (both.status, both.out) == (0, "6 events would be published again\n")
    no = await outbox(relay_url, "replay", "--group", "s-1", *WHY, answer="n")
    assert (no.status, no.out) == (1, "")
    assert "3 events will be published again" in no.err
    assert await query(outbox_database.url, "SELECT FROM outbox_replay") == []
    done = await outbox(relay_url, "replay", "--group", "s-1", *WHY, "--yes", "--json")
    assert (done.status, done.data["replayed"], done.data["progress"]) == (0, 3, 1.0)
    unmatched = await outbox(relay_url, "replay", "--group", "unknown", *WHY, "--yes")
    assert (unmatched.status, "no sent event matches" in unmatched.err) == (1, True)


async def test_pause_and_resume(relay_url: str) -> None:
    assert (await outbox(relay_url, "pause", *WHY, "--yes")).status == 0
    assert "by local since" in (await outbox(relay_url, "status")).out
    again = await outbox(relay_url, "pause", *WHY, "--yes")
    assert (again.status, again.err) == (1, "error: the outbox is paused already\n")
    assert (await outbox(relay_url, "resume", *WHY, "--yes")).out == "resumed\n"


async def test_a_recreated_broker_is_accepted(relay_url: str, outbox_database: TestDatabase) -> None:
    refused = await outbox(relay_url, "accept-broker", *WHY, "--yes")
    assert (refused.status, refused.err) == (1, "error: no new broker is waiting to be accepted\n")
    await query(outbox_database.url, "UPDATE outbox_control SET broker_seen = '7', broker_seen_at = now() RETURNING 1")
    accepted = await outbox(relay_url, "accept-broker", *WHY, "--yes")
    assert (accepted.status, accepted.out) == (0, "accepted\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pause"], "--reason"),
        (["replay", *WHY], "--everything"),
        (["replay", "--everything"], "--dry-run"),
        (["replay", "--since", "yesterday", "--dry-run"], "is not a time"),
        (["discard", "not-an-id", *WHY], "UUID"),
        (["stauts"], "status"),
    ],
)
async def test_a_usage_error_ends_with_status_2(arguments: list[str], message: str) -> None:
    ran = await outbox("http://127.0.0.1:9", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert message.lower() in ran.err.lower()


async def test_an_unreachable_service_is_named_with_the_remedy(relay_url: str) -> None:
    unreachable = await event_trio("outbox", "status", "--url", "http://127.0.0.1:9", "--json")
    assert (unreachable.status, unreachable.out) == (1, "")
    assert "cannot reach http://127.0.0.1:9" in unreachable.err
    assert "EVENT_TRIO_RELAY_URL" in unreachable.err
    wrong = await event_trio("outbox", "status", "--url", f"{relay_url}/elsewhere")
    assert wrong.status == 1
    assert "has no /elsewhere/v1/outbox. Give --url or set EVENT_TRIO_RELAY_URL" in wrong.err
    invalid = await event_trio("outbox", "status", "--url", "relay:8002")
    assert (invalid.status, invalid.err.startswith("error: ")) == (1, True)


async def test_a_rejected_token_is_described_but_not_shown(outbox_database: TestDatabase, tmp_path: Path) -> None:
    issuer = Issuer()
    auth: dict[str, Any] = {
        "auth_jwks": issuer.write_key_set(tmp_path), "auth_issuer": ISSUER, "auth_audience": AUDIENCE
    }  # fmt: skip
    carl, old = issuer.token("carl", "customer"), issuer.token("olga", "operator", exp=1)
    async with serving(relay_app(outbox_database, **auth)) as url:
        without = await event_trio("outbox", "status", "--url", url)
        customer = await event_trio("outbox", "status", "--url", url, EVENT_TRIO_TOKEN=carl)
        expired = await event_trio("outbox", "status", "--url", url, "--token", old)
        malformed = await event_trio("outbox", "status", "--url", url, "--token", "nonsense")
        operator = await event_trio(
            "outbox", "pause", *WHY, "-y", "--url", url, "--token", issuer.token("olga", "operator")
        )
    assert [ran.status for ran in (without, customer, expired, malformed, operator)] == [1, 1, 1, 1, 0]
    assert "requires an operator's token: give --token or set EVENT_TRIO_TOKEN" in without.err
    assert customer.err == (
        "error: the token from EVENT_TRIO_TOKEN (subject carl, roles customer) is not permitted to do this: "
        "this requires the role reader or operator\n"
    )
    assert "the token from --token (subject olga, roles operator): the token has expired" in expired.err
    assert "the token from --token (not a JWT)" in malformed.err
    assert not any(token in ran.err + ran.out for token in (carl, old) for ran in (customer, expired))
    (entry,) = await query(outbox_database.url, "SELECT actor, action FROM outbox_audit")
    assert tuple(entry) == ("olga", "pause")


async def test_json_does_not_depend_on_the_terminal(relay_url: str) -> None:
    ran = await event_trio_in_shell("outbox", "status", "--url", relay_url, "--json", FORCE_COLOR="1", COLUMNS="20")
    assert json.loads(ran.out)["relays"] == 1
    plain = await event_trio_in_shell("outbox", "lanes", "--url", relay_url, NO_COLOR="1", FORCE_COLOR="1")
    assert "\x1b[3" not in plain.out
