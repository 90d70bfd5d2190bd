"""The lines of the fault list: each runs the same faults against every way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from comparisons.atomicity.campaign import AMOUNT, ENOUGH, QUANTITY, Campaign, Supply, Tally, campaign
from comparisons.atomicity.checker import Broken
from comparisons.atomicity.columns import COORDINATED, WAYS
from comparisons.atomicity.faults import CallFault, Faults
from comparisons.atomicity.servers import SETTINGS, databases, kill_and_restart, version
from comparisons.atomicity.try_confirm_cancel import ReservingParticipant, TryConfirmCancel
from comparisons.atomicity.two_phase_commit import TwoPhaseCommit
from comparisons.atomicity.uncoordinated import Uncoordinated
from comparisons.atomicity.ways import Way
from comparisons.atomicity.world import Purchase
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from tools.embedded.postgres import EmbeddedPostgres

OTHERS = 5
JUST_ENOUGH = Supply(QUANTITY, 100)


class ExpiringParticipant(ReservingParticipant):
    """Its reservations hold for no time, so that they have expired as soon as somebody looks."""

    seconds: ClassVar[float] = 0.0


class ExpiringReservations(TryConfirmCancel):
    """TC/C after a long absence of its coordinator."""

    participant: ClassVar[type[ReservingParticipant]] = ExpiringParticipant


async def without_fault(environment: ComparisonEnvironment) -> LineResult:
    """Place purchases that can and cannot be accepted."""
    return await _line(environment, Campaign.without_fault)


async def killed(environment: ComparisonEnvironment) -> LineResult:
    """Kill the coordinator at each step."""
    return await _line(environment, Campaign.killed)


async def called(environment: ComparisonEnvironment, fault: CallFault) -> LineResult:
    """Let a fault happen to each call."""
    return await _line(environment, lambda found: found.called(fault))


async def restarted(environment: ComparisonEnvironment) -> LineResult:
    """Kill the coordinator when the result is bound to come, and the server of the stock, which starts again."""
    server = await environment.restartable_postgres(SETTINGS)

    async def restart(_: Purchase) -> Sequence[tuple[Purchase, bool | None]]:
        await kill_and_restart(server)
        return ()

    return await _line(
        environment, lambda found: found.killed_after(found.way.bound, ENOUGH, meanwhile=restart), stock=server
    )


async def others(environment: ComparisonEnvironment) -> LineResult:
    """Kill the coordinator after the first promise; others buy the same item before anybody recovers."""
    cells = {}
    for way in WAYS:
        async with databases(environment, way) as world, campaign(way, world, environment.random(way.name)) as found:
            accepted, seconds = await buy_beside(found)
        expected = 0 if way is TwoPhaseCommit else OTHERS
        text = f"{accepted} of {OTHERS}, after {seconds * 1000:,.0f} ms; afterwards {_short(found.tally)}"
        wrong = accepted != expected or (way is not Uncoordinated and bool(found.tally.broken))
        cells[way.name] = Cell(text, f"{expected} of {OTHERS}, and none broken" if wrong else "")
    return LineResult(cells, versions=await version(environment))


async def buy_beside(found: Campaign) -> tuple[int, float]:
    """How many others bought the item of a purchase whose coordinator died after the first promise, and how long they
    took in seconds."""
    accepted, seconds = 0, 0.0

    async def buy(purchase: Purchase) -> Sequence[tuple[Purchase, bool | None]]:
        nonlocal accepted, seconds
        requests = [await found.another(purchase, ENOUGH_FOR_OTHERS.money) for _ in range(OTHERS)]
        began = time.monotonic()
        answers = await asyncio.gather(*(found.way(found.world).place(each, Faults()) for each in requests))
        seconds = time.monotonic() - began
        accepted = await found.accepted(requests)
        return list(zip(requests, answers, strict=True))

    await found.killed_after(found.way.promised, ENOUGH_FOR_OTHERS, meanwhile=buy)
    return accepted, seconds


ENOUGH_FOR_OTHERS = Supply(QUANTITY * (OTHERS + 1), AMOUNT)


async def expired(environment: ComparisonEnvironment) -> LineResult:
    """Kill the coordinator after its decision; participants act on their time-outs, and another buys the rest."""
    cells = {}
    for way in WAYS:
        tried = ExpiringReservations if way is TryConfirmCancel else way
        async with databases(environment, tried) as world, campaign(tried, world, environment.random("x")) as found:
            bought = await buy_after_expiry(found)
        text = f"the other purchase was {'accepted' if bought else 'rejected'}; afterwards {_short(found.tally)}"
        expected = {Broken.UNRESOLVED: 1} if way is TryConfirmCancel else {}
        wrong = way is not Uncoordinated and (dict(found.tally.broken) != expected or bought != bool(expected))
        cells[way.name] = Cell(text, ("1 for a person" if expected else "none broken") if wrong else "")
    return LineResult(cells, versions=await version(environment))


async def buy_after_expiry(found: Campaign) -> bool:
    """Whether another purchase could take what a decided one needs, after the participants' time-outs."""
    bought = False

    async def buy(purchase: Purchase) -> Sequence[tuple[Purchase, bool | None]]:
        nonlocal bought
        await found.way(found.world).time_out()
        other = await found.another(purchase, JUST_ENOUGH.money)
        answer = await found.way(found.world).place(other, Faults())
        bought = bool(await found.accepted([other]))
        return [(other, answer)]

    await found.killed_after(found.way.bound, JUST_ENOUGH, meanwhile=buy)
    return bought


async def _line(
    environment: ComparisonEnvironment,
    inject: Callable[[Campaign], Awaitable[None]],
    *,
    stock: EmbeddedPostgres | None = None,
) -> LineResult:
    """Run every way. Those that coordinate must be whole; the one that does not must not be."""
    cells, notes = {}, []
    for way in WAYS:
        random = environment.random(way.name)
        async with databases(environment, way, stock=stock) as world, campaign(way, world, random) as found:
            await inject(found)
        cells[way.name] = _cell(way, found.tally)
        notes += [f"{example}" for example in found.tally.examples[:1]]
    return LineResult(cells, notes=notes, versions=await version(environment))


def _cell(way: type[Way], tally: Tally) -> Cell:
    expects_damage = way not in COORDINATED
    if expects_damage == bool(tally.broken):
        return Cell(str(tally))
    return Cell(str(tally), "damage" if expects_damage else "none broken")


def _short(tally: Tally) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(tally.broken.items())) or "none broken"
