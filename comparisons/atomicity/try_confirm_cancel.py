"""TC/C: each participant reserves in a transaction of its own, and later confirms or cancels the reservation.

A reservation ends by itself when its time is over, so that a coordinator that is gone for good blocks nothing.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from comparisons.atomicity.faults import Faults, TakeRefused, Unreachable
from comparisons.atomicity.ways import TAKE, Participant, Way
from comparisons.atomicity.world import ORDERS, PARTICIPANTS, Purchase, World

RESERVATIONS = """
CREATE TABLE IF NOT EXISTS reservation (
    purchase text PRIMARY KEY,
    name text,
    amount integer,
    state text NOT NULL CHECK (state IN ('reserved', 'confirmed', 'cancelled', 'expired')),
    expires_at timestamptz
)
"""
BEGIN_RESERVATION = """
INSERT INTO reservation (purchase, name, amount, state, expires_at)
VALUES ($1, $2, $3, 'reserved', clock_timestamp() + make_interval(secs => $4))
ON CONFLICT (purchase) DO NOTHING RETURNING purchase
"""
RESERVE = """
UPDATE balance SET available = available - $2, reserved = reserved + $2
WHERE name = $1 AND available >= $2 RETURNING name
"""
CONFIRM = "UPDATE reservation SET state = 'confirmed' WHERE purchase = $1 AND state = 'reserved' RETURNING name, amount"
SPEND = """
WITH spent AS (UPDATE balance SET reserved = reserved - $2 WHERE name = $1 RETURNING name)
INSERT INTO movement (purchase, name, amount) SELECT $3, name, -$2 FROM spent
"""
CONFIRM_EXPIRED = """
UPDATE reservation SET state = 'confirmed' WHERE purchase = $1 AND state = 'expired' RETURNING name, amount
"""
# A cancel that comes before its try leaves a row, which refuses the try when it comes.
REFUSE_LATE_TRY = "INSERT INTO reservation (purchase, state) VALUES ($1, 'cancelled') ON CONFLICT (purchase) DO NOTHING"
CANCEL = "UPDATE reservation SET state = 'cancelled' WHERE purchase = $1 AND state = 'reserved' RETURNING name, amount"
EXPIRE = """
UPDATE reservation SET state = 'expired'
WHERE state = 'reserved' AND expires_at <= clock_timestamp() RETURNING name, amount
"""
RELEASE = "UPDATE balance SET available = available + $2, reserved = reserved - $2 WHERE name = $1"
RESERVATION = "SELECT state FROM reservation WHERE purchase = $1"
IN_DOUBT = "SELECT purchase FROM reservation WHERE state = 'reserved'"
ACCEPTED = "SELECT id FROM purchase WHERE state = 'accepted' AND NOT confirmed"
UNDECIDED = "SELECT id FROM purchase WHERE state = 'pending'"
STATE = "SELECT state FROM purchase WHERE id = $1"
UNRESOLVED = "UPDATE purchase SET state = 'unresolved' WHERE id = $1"
CONFIRMED = "UPDATE purchase SET confirmed = true WHERE id = $1"
CONFIRMED_COLUMN = "ALTER TABLE purchase ADD COLUMN IF NOT EXISTS confirmed boolean NOT NULL DEFAULT false"


class ReservingParticipant(Participant):
    """Keeps reservations. Each operation is one transaction, and may be repeated."""

    seconds: ClassVar[float] = 30.0
    """How long a reservation holds."""

    async def attempt(self, purchase: Purchase) -> None:
        """Reserve what the purchase needs. Raises TakeRefused, also when it was cancelled before."""
        name, amount = purchase.needs(self.name)
        async with self.pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(BEGIN_RESERVATION, purchase.id, name, amount, self.seconds) is None:
                if await connection.fetchval(RESERVATION, purchase.id) in {"cancelled", "expired"}:
                    raise TakeRefused(f"{self.name}: cancelled before")
                return
            if await connection.fetchval(RESERVE, name, amount) is None:
                raise TakeRefused(f"{self.name}: not enough of {name}")
            self.world.lock_begins(self.name, purchase.id)
        self.world.lock_ends(self.name, purchase.id)

    async def confirm(self, purchase: str) -> None:
        """Take what is reserved. After the time is over it takes what is available, and raises TakeRefused if that is
        not enough."""
        async with self.pool.acquire() as connection, connection.transaction():
            if found := await connection.fetchrow(CONFIRM, purchase):
                await connection.execute(SPEND, found["name"], found["amount"], purchase)
            elif found := await connection.fetchrow(CONFIRM_EXPIRED, purchase):
                taken = await connection.fetchval(TAKE, found["name"], found["amount"], purchase)
                if taken is None:
                    raise TakeRefused(f"{self.name}: the reservation expired, and {found['name']} is used up")

    async def cancel(self, purchase: str) -> None:
        """Give back what is reserved, and refuse a try that comes later."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(REFUSE_LATE_TRY, purchase)
            if found := await connection.fetchrow(CANCEL, purchase):
                await connection.execute(RELEASE, found["name"], found["amount"])

    async def expire(self) -> None:
        """Give back what is reserved for too long, without asking anybody."""
        async with self.pool.acquire() as connection, connection.transaction():
            for found in await connection.fetch(EXPIRE):
                await connection.execute(RELEASE, found["name"], found["amount"])

    async def in_doubt(self) -> list[str]:
        """The purchases that are reserved here, and neither confirmed nor cancelled."""
        return [row["purchase"] for row in await self.pool.fetch(IN_DOUBT)]


class TryConfirmCancel(Way):
    """Reserves at both participants, decides, and confirms or cancels at both."""

    name: ClassVar[str] = "TC/C"
    promised: ClassVar[str] = "reserved at stock"
    bound: ClassVar[str] = "decided"
    participant: ClassVar[type[ReservingParticipant]] = ReservingParticipant

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.participants = [self.participant(name, world) for name in PARTICIPANTS]

    async def install(self) -> None:
        await self.world.pools[ORDERS].execute(CONFIRMED_COLUMN)
        for participant in self.participants:
            await participant.pool.execute(RESERVATIONS)

    async def place(self, purchase: Purchase, faults: Faults) -> bool | None:
        await self.record(purchase)
        faults.step("recorded")
        try:
            for participant in self.participants:
                await faults.call(participant.name, "try", partial(participant.attempt, purchase))
                faults.step(f"reserved at {participant.name}")
            reserved = True
        except (TakeRefused, Unreachable):
            reserved = False
        accepted = await self.decide(purchase.id, accepted=reserved)
        faults.step("decided")
        await self._finish(purchase.id, accepted, faults)
        return accepted

    async def recover(self, faults: Faults) -> bool:
        """Decide against what is undecided, and finish. A reservation of nobody is cancelled too: its try came late."""
        orders = self.world.pools[ORDERS]
        undecided = [row["id"] for row in await orders.fetch(UNDECIDED)]
        for purchase in undecided:
            await self.decide(purchase, accepted=False)
            faults.step("decided")
        waiting = set(undecided) | {row["id"] for row in await orders.fetch(ACCEPTED)}
        for participant in self.participants:
            waiting |= set(await participant.in_doubt())
        for purchase in sorted(waiting):
            await self._finish(purchase, await orders.fetchval(STATE, purchase) == "accepted", faults)
        return bool(waiting)

    async def time_out(self) -> None:
        for participant in self.participants:
            await participant.expire()

    async def _finish(self, purchase: str, accepted: bool, faults: Faults) -> None:
        for participant in self.participants:
            name, operation = ("confirm", participant.confirm) if accepted else ("cancel", participant.cancel)
            try:
                await faults.call(participant.name, name, partial(operation, purchase))
            except Unreachable:
                return  # the next recovery finds it
            except TakeRefused:
                await self.world.pools[ORDERS].execute(UNRESOLVED, purchase)
                return
            faults.step(f"{name} at {participant.name}")
        if accepted:
            await self.world.pools[ORDERS].execute(CONFIRMED, purchase)
            faults.step("finished")
