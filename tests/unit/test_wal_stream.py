"""When a stream of the slot is behind, and what the state of a slot means."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from services.relay.metrics import RelayMetrics
from services.relay.wal import slots, stream
from services.relay.wal.replication import ReplicationConnection
from services.relay.wal.slots import NAME_PREFIX, SlotObservation
from services.relay.wal.source_state import MUCH_BYTES, SourceState, SourceStatus
from services.relay.wal.stream import SlotStream
from services.relay.wal.unseen_changes import Snapshot
from tests.support.wal_messages import XID, begin, commit, inserted, keepalive, outbox

FITTING = SlotObservation(
    logical=True,
    position=100,
    found=True,
    suitable=True,
    lost=False,
    lost_because=None,
    active_pid=None,
    holder=None,
    holder_lives=False,
    published=True,
    kept=0,
    unconfirmed=0,
    safe=None,
    failover=None,
)


def observation(**changes: Any) -> SlotObservation:
    known = {name: getattr(FITTING, name) for name in SlotObservation.__dataclass_fields__}
    return SlotObservation(**{**known, **changes})


class Connection:
    """A connection with prepared messages."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)
        self.confirmed: list[int] = []

    async def readable(self, seconds: float) -> bool:
        return bool(self.messages)

    def received(self) -> Iterator[bytes]:
        messages, self.messages = self.messages, []
        yield from messages

    async def confirm(self, position: int, *, reply: bool = False) -> None:
        self.confirmed.append(position)


def opened(connection: Connection, announced: list[str]) -> SlotStream:
    return SlotStream(
        cast(ReplicationConnection, connection),
        cast(Pool, None),
        announced.extend,
        False,
        RelayMetrics(CollectorRegistry()),
    )


@pytest.fixture(autouse=True)
def snapshots(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """What the database shows, one after the other; the last one again and again."""
    shown = [Snapshot(XID + 1, XID + 1, frozenset())]

    async def snapshot(_: Pool) -> Snapshot:
        return shown.pop(0) if len(shown) > 1 else shown[0]

    monkeypatch.setattr(slots, "snapshot", snapshot)
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.05)
    return shown


async def test_a_stream_that_has_not_reached_the_end_of_the_last_look_is_behind() -> None:
    connection = Connection(outbox(), begin(), inserted("1", "a"))
    announced: list[str] = []
    opened_stream = opened(connection, announced)
    assert opened_stream.lag(100) is None  # nothing can be said at the first look
    await opened_stream.follow()
    assert announced == ["a"]
    assert opened_stream.lag(200) is not None  # the large transaction has not ended
    connection.messages += [commit(150), keepalive(210)]
    await opened_stream.follow()
    assert opened_stream.lag(300) is None


async def test_a_change_is_announced_when_it_is_visible_and_not_before(snapshots: list[Snapshot]) -> None:
    connection = Connection(outbox(), begin(), inserted("1", "a"), commit(50), begin(XID + 1), inserted("2", "b"))
    announced: list[str] = []
    snapshots[:] = [Snapshot(XID, XID + 1, frozenset({XID}))]
    opened_stream = opened(connection, announced)
    await opened_stream.follow()
    assert announced == []
    snapshots[:] = [Snapshot(XID, XID + 2, frozenset({XID})), Snapshot(XID + 2, XID + 2, frozenset())]
    await opened_stream.follow()
    assert announced == ["b", "a"]


async def test_reading_pauses_at_the_bound_and_the_stream_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_UNSENT", 2)
    connection = Connection(outbox(), begin(), inserted("1", "a"), inserted("2", "b"), commit(50))
    opened_stream = opened(connection, [])
    await opened_stream.follow()
    assert "2 events are not sent" in str(opened_stream.lag(50))


async def test_received_is_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CONFIRM_SECONDS", 0.0)
    connection = Connection(keepalive(10), outbox(), begin(), inserted("1", "a"), commit(50), keepalive(60))
    opened_stream = opened(connection, [])
    await opened_stream.follow()
    assert max(connection.confirmed) == 10


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"logical": False}, SourceState.WAL_LEVEL),
        ({"found": False}, SourceState.SLOT_MISSING),
        ({"suitable": False}, SourceState.SLOT_UNSUITABLE),
        ({"lost": True, "lost_because": "wal_removed"}, SourceState.SLOT_LOST),
        ({"published": False}, SourceState.PUBLICATION_MISSING),
    ],
)
def test_each_obstacle_has_a_state_and_a_sentence(changes: dict[str, Any], state: SourceState) -> None:
    found = observation(**changes).obstacle("outbox_orders")
    assert found is not None
    assert found[0] is state
    assert SourceStatus(*found).trouble


def test_a_fitting_slot_has_no_obstacle_and_its_holder_is_known_by_its_name() -> None:
    assert FITTING.obstacle("outbox_orders") is None
    assert observation(active_pid=7, holder=f"{NAME_PREFIX}x").held_by_relay
    assert not observation(active_pid=7, holder="pg_recvlogical").held_by_relay


@pytest.mark.parametrize(
    ("kept", "safe", "reported"),
    [(MUCH_BYTES, None, False), (MUCH_BYTES + 1, None, True), (10, 11, False), (11, 10, True), (None, None, False)],
)
def test_much_log_is_reported(kept: int | None, safe: int | None, reported: bool) -> None:
    status = SourceStatus(SourceState.STREAMING, None, kept, 0, safe)
    assert bool(status.pressure) is reported
    assert status.trouble is None
