"""Runs a way under every fault of a kind, one purchase at a time, and has each run checked."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from comparisons.atomicity.checker import Broken, Expectation, Violation, check
from comparisons.atomicity.faults import CallFault, CoordinatorKilled, Faults, TakeRefused
from comparisons.atomicity.ways import Way
from comparisons.atomicity.world import ORDERS, PARTICIPANTS, PAYMENT, STOCK, Purchase, World

QUANTITY, AMOUNT = 2, 30
ROUNDS = 20
"""A recovery that has not ended after so many rounds does not end."""

ACCEPTED = "SELECT count(*) FROM purchase WHERE id = ANY($1) AND state = 'accepted'"


@dataclass(frozen=True)
class Supply:
    """What the participants have when a purchase is placed."""

    stock: int
    money: int

    def __str__(self) -> str:
        return f"{self.stock} in stock, {self.money} in the account"


ENOUGH, NO_MONEY, NO_STOCK = Supply(10, 100), Supply(10, 5), Supply(1, 100)


@dataclass
class Tally:
    """What the runs of a campaign broke: for each kind, the number of runs that did."""

    runs: int = 0
    broken: Counter[Broken] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, where: str, violations: Sequence[Violation]) -> None:
        """Count one run."""
        self.runs += 1
        self.broken.update({violation.kind for violation in violations})
        self.examples += [f"{where}: {violation.kind}: {violation.what}" for violation in violations]

    def __str__(self) -> str:
        broken = ", ".join(f"{count} {kind}" for kind, count in sorted(self.broken.items()))
        return f"{self.runs} {'run' if self.runs == 1 else 'runs'}, {broken or 'none broken'}"


Meanwhile = Callable[[Purchase], Awaitable[Sequence[tuple[Purchase, bool | None]]]]
"""What others do: it returns their purchases with the answers that they were given."""


@dataclass
class Campaign:
    """Runs of one way in its databases."""

    way: type[Way]
    world: World
    random: random.Random
    most: int | None = None
    """So many steps or calls, chosen at random, are tried instead of all."""
    tally: Tally = field(default_factory=Tally)
    connections: dict[str, asyncpg.Connection[asyncpg.Record]] = field(default_factory=dict)
    """Those of the checker."""
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def without_fault(self) -> None:
        """A purchase that can be accepted, and two that cannot."""
        for supply in (ENOUGH, NO_MONEY, NO_STOCK):
            await self.run(supply, Faults())

    async def killed(self) -> None:
        """The coordinator dies at each of its steps; each time once more, at a random step of its recovery."""
        for supply in (ENOUGH, NO_MONEY):
            for step in self._chosen((await self.dry_run(supply)).steps):
                await self.run(supply, Faults(kills=frozenset({step})))
                await self.run(supply, Faults(kills=frozenset({step, step + self.random.randint(1, 4)})))

    async def called(self, fault: CallFault) -> None:
        """The fault happens to each of the calls."""
        for supply in (ENOUGH, NO_MONEY):
            for call in self._chosen((await self.dry_run(supply)).calls):
                await self.run(supply, Faults(call_fault=(fault, call)))

    async def run(self, supply: Supply, faults: Faults, *, meanwhile: Meanwhile | None = None) -> None:
        """Place one purchase with these faults, let the way recover, check, and count the run.

        `meanwhile` runs when the fault is over, before the way recovers.
        """
        injected = str(faults)
        violations = await self._run(supply, faults, meanwhile)
        self.tally.add(f"{self.way.name}, {supply}, {injected}", violations)

    async def killed_after(self, step: str, supply: Supply, *, meanwhile: Meanwhile) -> None:
        """The coordinator dies after the step with this name."""
        number = (await self.dry_run(ENOUGH)).steps.index(step)
        await self.run(supply, Faults(kills=frozenset({number})), meanwhile=meanwhile)

    async def _run(self, supply: Supply, faults: Faults, meanwhile: Meanwhile | None = None) -> list[Violation]:
        number = next(self._numbers)
        purchase = Purchase(f"p{number}", f"item-{number}", QUANTITY, f"customer-{number}", AMOUNT)
        await self.world.fund(STOCK, purchase.item, supply.stock)
        await self.world.fund(PAYMENT, purchase.customer, supply.money)
        requests = [purchase]
        answered: bool | None = None
        way = self.way(self.world)
        try:
            answered = await way.place(purchase, faults)
            await way.recover(faults)  # while the fault lasts
        except CoordinatorKilled:
            way = self.way(self.world)
        faults.end_calls()
        answers = {purchase.id: answered}
        if meanwhile is not None:
            for other, accepted in await meanwhile(purchase):
                requests.append(other)
                answers[other.id] = accepted
        await self._settle(way, faults)
        for operation in faults.late:
            with contextlib.suppress(TakeRefused):
                await operation()
        return await self._check(requests, supply, answers)

    async def _settle(self, way: Way, faults: Faults) -> None:
        for _ in range(ROUNDS):
            try:
                if not await way.recover(faults):
                    return
            except CoordinatorKilled:
                way = self.way(self.world)

    async def _check(
        self, requests: Sequence[Purchase], supply: Supply, answers: Mapping[str, bool | None]
    ) -> list[Violation]:
        expected = [
            Expectation(each.id, {name: each.needs(name) for name in PARTICIPANTS}, answers[each.id])
            for each in requests
        ]
        money = {each.customer: supply.money for each in requests}
        await self.connect()
        return await check(self.connections, expected, {STOCK: {requests[0].item: supply.stock}, PAYMENT: money})

    async def connect(self) -> None:
        """Connect the checker where it is not."""
        for name, url in self.world.urls.items():
            if name not in self.connections or self.connections[name].is_closed():
                self.connections[name] = await asyncpg.connect(url)

    async def accepted(self, purchases: Sequence[Purchase]) -> int:
        """How many of these purchases are accepted."""
        return int(await self.world.pools[ORDERS].fetchval(ACCEPTED, [each.id for each in purchases]))

    async def another(self, like: Purchase, money: int) -> Purchase:
        """A purchase of the same item by another customer, who has this much."""
        number = next(self._numbers)
        purchase = Purchase(f"p{number}", like.item, QUANTITY, f"customer-{number}", AMOUNT)
        await self.world.fund(PAYMENT, purchase.customer, money)
        return purchase

    def _chosen(self, found: Sequence[str]) -> list[int]:
        numbers = range(len(found))
        return sorted(self.random.sample(numbers, self.most)) if self.most and self.most < len(found) else [*numbers]

    async def dry_run(self, supply: Supply) -> Faults:
        """Run without a fault; returns what could have been hit."""
        faults = Faults()
        await self._run(supply, faults)
        return faults


@contextlib.asynccontextmanager
async def campaign(way: type[Way], world: World, random: random.Random) -> AsyncIterator[Campaign]:
    """A campaign with connections for its checker."""
    made = Campaign(way, world, random)
    try:
        yield made
    finally:
        for connection in made.connections.values():
            await connection.close()
