"""The position that the slot may confirm, against a model that remembers everything."""

import random

import pytest

from services.relay.wal.slot_position import SlotPosition


def transaction(position: SlotPosition, end: int, *event_ids: int, unsent: bool = True) -> None:
    position.begin()
    for event_id in event_ids:
        position.found(event_id, unsent=unsent)
    position.commit(end)


def test_a_position_is_not_confirmed_before_its_events_are_recorded_as_sent() -> None:
    position = SlotPosition(100)
    transaction(position, 10, 1)
    transaction(position, 20, 2, 3)
    position.keepalive(25)
    assert position.confirmed == 0
    transaction(position, 30, 2, 3, unsent=False)
    assert position.confirmed == 0
    position.settle([1])
    assert position.confirmed == 30


def test_without_unsent_events_the_position_follows_the_server() -> None:
    position = SlotPosition(100)
    position.keepalive(40)
    assert position.confirmed == 40
    transaction(position, 50)
    assert position.confirmed == 50


def test_within_a_transaction_nothing_of_it_is_confirmed() -> None:
    position = SlotPosition(100)
    position.begin()
    position.keepalive(15)
    position.found(1, unsent=True)
    position.settle([1])
    assert position.confirmed == 0
    position.commit(20)
    assert position.confirmed == 20


def test_an_event_that_goes_again_is_followed_from_then_on() -> None:
    position = SlotPosition(100)
    transaction(position, 10, 1)
    transaction(position, 20, 1, unsent=False)
    transaction(position, 30, 1)
    position.keepalive(40)
    assert position.confirmed == 20


def test_it_is_full_at_its_bound_and_names_the_oldest_events() -> None:
    position = SlotPosition(3)
    transaction(position, 10, 5, 4)
    assert not position.full
    transaction(position, 20, 3)
    assert position.full
    assert position.oldest(2) == [5, 4]
    position.settle([5])
    assert (position.full, position.unsent) == (False, 2)


@pytest.mark.parametrize("seed", range(50))
def test_whatever_happens_every_unsent_event_is_behind_the_confirmed_position(seed: int) -> None:
    dice, position, end, seen = random.Random(seed), SlotPosition(10_000), 0, 0
    unsent: dict[int, int] = {}
    for _ in range(300):
        end += dice.randint(1, 5)
        if dice.random() < 0.4:
            position.keepalive(end)
        elif dice.random() < 0.5 and unsent:
            for event_id in dice.sample(sorted(unsent), dice.randint(1, len(unsent))):
                del unsent[event_id]
                if dice.random() < 0.5:
                    position.settle([event_id])
                else:
                    transaction(position, end, event_id, unsent=False)
        else:
            recorded = range(seen, seen := seen + dice.randint(0, 4))
            transaction(position, end, *recorded)
            unsent |= dict.fromkeys(recorded, end)
        assert all(position.confirmed < at for at in unsent.values())
    position.settle(unsent)
    assert position.confirmed == position.received
