"""The ways to make a purchase atomic over three databases, under the faults of the comparison."""

from collections.abc import Iterator, Sequence

import pytest

from comparisons.atomicity.campaign import ENOUGH, NO_MONEY
from comparisons.atomicity.checker import Broken
from comparisons.atomicity.columns import COORDINATED, WAYS
from comparisons.atomicity.fault_lines import OTHERS, ExpiringReservations, buy_after_expiry, buy_beside
from comparisons.atomicity.faults import CallFault
from comparisons.atomicity.measuring import load
from comparisons.atomicity.saga import Choreography
from comparisons.atomicity.servers import kill_and_restart
from comparisons.atomicity.try_confirm_cancel import TryConfirmCancel
from comparisons.atomicity.two_phase_commit import TwoPhaseCommit
from comparisons.atomicity.uncoordinated import Uncoordinated
from comparisons.atomicity.ways import Way
from comparisons.atomicity.world import LOCK_MS, STOCK, Purchase
from comparisons.environment import ComparisonEnvironment
from tests.support.atomicity import databases, preparing_postgres, tried
from tools.embedded.postgres import EmbeddedPostgres

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
every_coordinated_way = pytest.mark.parametrize("way", COORDINATED, ids=lambda way: way.__name__)

SOME = 2
"""Of the steps and calls of a way, so many are tried here, and all of them by `make compare` and the stress tests."""

MESSAGE_SECONDS = 0.05


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with preparing_postgres() as found:
        yield found


@every_coordinated_way
async def test_without_a_fault_every_coordinated_way_is_whole(server: EmbeddedPostgres, way: type[Way]) -> None:
    async with tried(server, way) as campaign:
        await campaign.without_fault()
    assert campaign.tally.examples == []
    assert campaign.tally.runs == 3


@every_coordinated_way
async def test_a_coordinator_killed_at_any_step_breaks_nothing_that_is_coordinated(
    server: EmbeddedPostgres, way: type[Way]
) -> None:
    async with tried(server, way, most=SOME) as campaign:
        await campaign.killed()
    assert campaign.tally.examples == []
    assert campaign.tally.runs == 4 * SOME


@every_coordinated_way
async def test_no_fault_of_a_call_breaks_what_is_coordinated(server: EmbeddedPostgres, way: type[Way]) -> None:
    async with tried(server, way, most=SOME) as campaign:
        for fault in CallFault:
            await campaign.called(fault)
    assert campaign.tally.examples == []
    assert campaign.tally.runs == 2 * SOME * len(CallFault)


async def test_without_coordination_even_a_refusal_leaves_half_a_purchase(server: EmbeddedPostgres) -> None:
    async with tried(server, Uncoordinated) as campaign:
        await campaign.without_fault()
    assert campaign.tally.broken == {Broken.NOT_ATOMIC: 1}, "the one without money"


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        (None, {Broken.STUCK, Broken.NOT_ATOMIC}),
        (CallFault.AWAY, {Broken.NOT_ATOMIC}),
        (CallFault.ANSWER_LOST, {Broken.NOT_ATOMIC}),
        (CallFault.TWICE, {Broken.NOT_ATOMIC, Broken.REPEATED}),
        (CallFault.SLOW, {Broken.NOT_ATOMIC}),
    ],
)
async def test_without_coordination_faults_do_damage(
    server: EmbeddedPostgres, fault: CallFault | None, broken: set[Broken]
) -> None:
    async with tried(server, Uncoordinated, most=SOME) as campaign:
        await (campaign.killed() if fault is None else campaign.called(fault))
    assert set(campaign.tally.broken) == broken


async def test_a_promise_survives_a_restart_of_the_participant_s_server() -> None:
    async with ComparisonEnvironment.temporary() as environment:
        server = await environment.restartable_postgres({"max_prepared_transactions": "32"})

        async def restart(_: Purchase) -> Sequence[tuple[Purchase, bool | None]]:
            await kill_and_restart(server)
            return ()

        for way in (TwoPhaseCommit, TryConfirmCancel, Choreography):
            async with tried(server, way) as campaign:
                await campaign.killed_after(way.bound, ENOUGH, meanwhile=restart)
            assert campaign.tally.examples == []
            assert campaign.tally.runs == 1


@every_way
async def test_who_waits_for_a_coordinator_that_is_gone(server: EmbeddedPostgres, way: type[Way]) -> None:
    async with tried(server, way) as campaign:
        accepted, seconds = await buy_beside(campaign)
    assert accepted == (0 if way is TwoPhaseCommit else OTHERS)
    if way is TwoPhaseCommit:
        assert seconds * 1000 >= LOCK_MS
    assert bool(campaign.tally.broken) is (way is Uncoordinated)


@pytest.mark.parametrize("way", [TwoPhaseCommit, ExpiringReservations, Choreography], ids=lambda way: way.__name__)
async def test_a_confirmation_after_the_time_needs_a_person_if_all_is_sold(
    server: EmbeddedPostgres, way: type[Way]
) -> None:
    async with tried(server, way) as campaign:
        bought = await buy_after_expiry(campaign)
    gave_up_waiting = way is ExpiringReservations
    assert bought is gave_up_waiting
    assert (Broken.UNRESOLVED in campaign.tally.broken) is gave_up_waiting
    assert bool(campaign.tally.broken) is gave_up_waiting


@pytest.mark.parametrize("way", [TwoPhaseCommit, TryConfirmCancel, Choreography], ids=lambda way: way.__name__)
async def test_a_saga_shows_what_is_not_decided_yet(server: EmbeddedPostgres, way: type[Way]) -> None:
    """Before the payment is refused, others see the stock of a saga as sold, and not that of the others."""
    movements: list[int] = []

    async with tried(server, way) as campaign:

        async def look(purchase: Purchase) -> Sequence[tuple[Purchase, bool | None]]:
            query = "SELECT count(*) FROM movement WHERE purchase = $1"
            movements.append(await campaign.world.pools[STOCK].fetchval(query, purchase.id))
            return ()

        await campaign.killed_after(way.promised, NO_MONEY, meanwhile=look)
    assert movements == [1 if way is Choreography else 0]
    assert campaign.tally.examples == []


@every_way
async def test_every_way_can_be_measured(server: EmbeddedPostgres, way: type[Way]) -> None:
    async with databases(server, way) as world:
        found = await load(way, world, clients=2, seconds=0.1, delay=0.0, run="quick")
    assert found.accepted == len(found.latencies_ms) > 1


async def test_two_phase_commit_locks_a_row_over_the_network(server: EmbeddedPostgres) -> None:
    """From the answer to prepare until the commit arrives: two messages of two services, and the decision."""
    locked: dict[type[Way], list[float]] = {}
    for way in (TwoPhaseCommit, TryConfirmCancel):
        async with databases(server, way) as world:
            locked[way] = (await load(way, world, clients=2, seconds=0.3, delay=MESSAGE_SECONDS, run="x")).locked_ms
    assert min(locked[TwoPhaseCommit]) >= 2 * MESSAGE_SECONDS * 1000
    assert min(locked[TryConfirmCancel]) < 2 * MESSAGE_SECONDS * 1000
