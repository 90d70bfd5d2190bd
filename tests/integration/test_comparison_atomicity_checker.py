"""The checker of the comparison of atomicity finds mistakes that are planted into each way, and false histories."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import ClassVar

import asyncpg
import pytest

from comparisons.atomicity import try_confirm_cancel
from comparisons.atomicity.campaign import Campaign
from comparisons.atomicity.checker import Broken, Expectation, check
from comparisons.atomicity.faults import CallFault, Faults
from comparisons.atomicity.saga import Choreography, Orchestration
from comparisons.atomicity.saga_events import PurchaseEvent
from comparisons.atomicity.saga_service import AsyncpgConnection, SagaService
from comparisons.atomicity.try_confirm_cancel import ReservingParticipant, TryConfirmCancel
from comparisons.atomicity.two_phase_commit import PreparingParticipant, TwoPhaseCommit
from comparisons.atomicity.uncoordinated import Uncoordinated
from comparisons.atomicity.ways import TAKE, Way
from comparisons.atomicity.world import PARTICIPANTS, PAYMENT, STOCK, Purchase
from event_trio.envelope import Envelope
from tests.support.atomicity import databases, preparing_postgres, tried
from tools.embedded.postgres import EmbeddedPostgres


class _CommitsAtOnce(PreparingParticipant):
    """Commits without being prepared."""

    async def prepare(self, purchase: Purchase) -> None:
        await self.take(purchase)


class CommitWithoutPrepare(TwoPhaseCommit):
    participant: ClassVar[type[PreparingParticipant]] = _CommitsAtOnce


class DecisionAfterCommit(TwoPhaseCommit):
    """Commits at the participants, and records the decision afterwards."""

    async def decide(self, purchase: str, *, accepted: bool) -> bool:
        return accepted

    async def place(self, purchase: Purchase, faults: Faults) -> bool | None:
        answer = await super().place(purchase, faults)
        return await super().decide(purchase.id, accepted=bool(answer))


class RecoveryWithoutLog(TwoPhaseCommit):
    """Rolls back whatever it finds, without reading the decision."""

    async def recover(self, faults: Faults) -> bool:
        for participant in self.participants:
            for purchase in await participant.in_doubt():
                await participant.roll_back(purchase)
        return await super().recover(faults)


class _ConfirmsAgain(ReservingParticipant):
    """Takes at every confirmation."""

    async def confirm(self, purchase: str) -> None:
        if await self.pool.fetchval(try_confirm_cancel.RESERVATION, purchase) == "confirmed":
            row = await self.pool.fetchrow("SELECT name, amount FROM reservation WHERE purchase = $1", purchase)
            assert row is not None
            await self.pool.execute(TAKE, row["name"], row["amount"], purchase)
        await super().confirm(purchase)


class ConfirmTwice(TryConfirmCancel):
    participant: ClassVar[type[ReservingParticipant]] = _ConfirmsAgain


class _ForgetsTheCancel(ReservingParticipant):
    """Ignores a cancel that comes before its try."""

    async def cancel(self, purchase: str) -> None:
        if await self.pool.fetchval(try_confirm_cancel.RESERVATION, purchase) is not None:
            await super().cancel(purchase)


class CancelBeforeTryIgnored(TryConfirmCancel):
    participant: ClassVar[type[ReservingParticipant]] = _ForgetsTheCancel


class _WithoutInbox(SagaService):
    """Gives back at each delivery."""

    async def claim(self, connection: AsyncpgConnection, event: Envelope) -> bool:
        return await super().claim(connection, event) or event.type in {"payment.refused", "stock.return-wanted"}


class CompensationTwice(Choreography):
    service: ClassVar[type[SagaService]] = _WithoutInbox


class DirectedCompensationTwice(Orchestration):
    service: ClassVar[type[SagaService]] = _WithoutInbox


class CompensationForgotten(Choreography):
    async def return_stock(self, connection: AsyncpgConnection, event: PurchaseEvent) -> None:  # type: ignore[override]
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with preparing_postgres() as found:
        yield found


Injection = Callable[[Campaign], Awaitable[None]]


@pytest.mark.parametrize(
    ("way", "inject", "broken"),
    [
        (CommitWithoutPrepare, Campaign.without_fault, Broken.NOT_ATOMIC),
        (DecisionAfterCommit, Campaign.killed, Broken.NOT_ATOMIC),
        (RecoveryWithoutLog, Campaign.killed, Broken.NOT_ATOMIC),
        (ConfirmTwice, lambda campaign: campaign.called(CallFault.TWICE), Broken.REPEATED),
        (CancelBeforeTryIgnored, lambda campaign: campaign.called(CallFault.SLOW), Broken.STUCK),
        (CompensationTwice, lambda campaign: campaign.called(CallFault.TWICE), Broken.REPEATED),
        (DirectedCompensationTwice, lambda campaign: campaign.called(CallFault.ANSWER_LOST), Broken.REPEATED),
        (CompensationForgotten, Campaign.without_fault, Broken.NOT_ATOMIC),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_a_planted_mistake_is_found(
    server: EmbeddedPostgres, way: type[Way], inject: Injection, broken: Broken
) -> None:
    async with tried(server, way) as campaign:
        await inject(campaign)
    assert broken in campaign.tally.broken


HISTORIES: Mapping[str, tuple[str, str, set[Broken]]] = {
    "correct": (
        "accepted",
        "UPDATE balance SET available = 8; INSERT INTO movement VALUES (DEFAULT, 'p', 'x', -2)",
        set(),
    ),
    "nothing happened": ("accepted", "SELECT 1", {Broken.NOT_ATOMIC}),
    "rejected with an effect": (
        "rejected",
        "UPDATE balance SET available = 8; INSERT INTO movement VALUES (DEFAULT, 'p', 'x', -2)",
        {Broken.NOT_ATOMIC},
    ),
    "undecided": ("pending", "SELECT 1", {Broken.STUCK}),
    "left to a person": ("unresolved", "SELECT 1", {Broken.UNRESOLVED}),
    "reserved for ever": ("rejected", "UPDATE balance SET available = 8, reserved = 2", {Broken.STUCK}),
    "money from nowhere": ("rejected", "UPDATE balance SET available = 11", {Broken.NOT_CONSERVED}),
    "taken twice and given back once": (
        "accepted",
        "UPDATE balance SET available = 8; INSERT INTO movement VALUES "
        "(DEFAULT, 'p', 'x', -2), (DEFAULT, 'p', 'x', -2), (DEFAULT, 'p', 'x', 2)",
        {Broken.REPEATED},
    ),
    "prepared for ever": (
        "rejected",
        "BEGIN; UPDATE balance SET available = 8; PREPARE TRANSACTION 'purchase-p'",
        {Broken.STUCK},
    ),
}


@pytest.fixture
async def connections(server: EmbeddedPostgres) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    async with databases(server, Uncoordinated) as world:
        found = {name: await asyncpg.connect(url) for name, url in world.urls.items()}
        yield found
        await found[STOCK].execute(ROLL_BACK) if await found[STOCK].fetchval(PREPARED) else None
        for connection in found.values():
            await connection.close()


PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())"
ROLL_BACK = "ROLLBACK PREPARED 'purchase-p'"


@pytest.mark.parametrize(("state", "history", "broken"), HISTORIES.values(), ids=HISTORIES)
async def test_histories(
    connections: dict[str, asyncpg.Connection], state: str, history: str, broken: set[Broken]
) -> None:
    await connections["orders"].execute(f"INSERT INTO purchase VALUES ('p', 'x', 2, 'x', 2, '{state}')")
    for name in PARTICIPANTS:
        await connections[name].execute("INSERT INTO balance (name, available) VALUES ('x', 10)")
        if name == STOCK or "PREPARE" not in history:
            for statement in history.split("; "):
                await connections[name].execute(statement)
    expected = Expectation("p", dict.fromkeys(PARTICIPANTS, ("x", 2)), None)
    found = await check(connections, [expected], {STOCK: {"x": 10}, PAYMENT: {"x": 10}})
    assert {violation.kind for violation in found} == broken


@pytest.mark.parametrize(("answered", "broken"), [(True, {Broken.ANSWER_BROKEN}), (False, set()), (None, set())])
async def test_answers(connections: dict[str, asyncpg.Connection], answered: bool | None, broken: set[Broken]) -> None:
    await connections["orders"].execute("INSERT INTO purchase VALUES ('p', 'x', 2, 'x', 2, 'rejected')")
    expected = Expectation("p", dict.fromkeys(PARTICIPANTS, ("x", 2)), answered)
    found = await check(connections, [expected], {STOCK: {}, PAYMENT: {}})
    assert {violation.kind for violation in found} == broken


async def test_a_request_that_is_gone(connections: dict[str, asyncpg.Connection]) -> None:
    expected = Expectation("absent", dict.fromkeys(PARTICIPANTS, ("x", 2)), None)
    found = await check(connections, [expected], {STOCK: {}, PAYMENT: {}})
    assert {violation.kind for violation in found} == {Broken.ANSWER_BROKEN}
