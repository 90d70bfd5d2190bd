"""What all ways have in common: how a purchase is placed, and how a restarted coordinator goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from comparisons.atomicity.faults import Faults, TakeRefused
from comparisons.atomicity.world import ORDERS, Purchase, World

RECORD = "INSERT INTO purchase (id, item, quantity, customer, amount, state) VALUES ($1, $2, $3, $4, $5, 'pending')"
# Only one of a coordinator and its successor can decide.
DECIDE = "UPDATE purchase SET state = $2 WHERE id = $1 AND state = 'pending' RETURNING state"
STATE = "SELECT state FROM purchase WHERE id = $1"
# In one statement, so that its row is locked as late as possible.
TAKE = """
WITH taken AS (
    UPDATE balance SET available = available - $2 WHERE name = $1 AND available >= $2 RETURNING name
)
INSERT INTO movement (purchase, name, amount) SELECT $3, name, -$2 FROM taken RETURNING name
"""


class Way(ABC):
    """One way to make a purchase atomic over three databases.

    Everything that a way remembers is in the databases: an object of the class is a process that may be killed.
    """

    name: ClassVar[str]
    promised: ClassVar[str]
    """The step after which the first participant has done its part."""
    bound: ClassVar[str]
    """The step after which both have, and the result only has to be carried out."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def install(self) -> None:
        """Create the tables that only this way needs, unless they exist."""
        return

    @abstractmethod
    async def place(self, purchase: Purchase, faults: Faults) -> bool | None:
        """Place a purchase: whether it was accepted, or None when the client will learn that later."""

    @abstractmethod
    async def recover(self, faults: Faults) -> bool:
        """Finish what a former process began: one round; whether there was something to do.

        It runs when no other coordinator does.
        """

    async def time_out(self) -> None:
        """What participants do by themselves when they have waited for the coordinator for too long."""
        return

    async def record(self, purchase: Purchase) -> None:
        """Record the request."""
        values = (purchase.id, purchase.item, purchase.quantity, purchase.customer, purchase.amount)
        await self.world.pools[ORDERS].execute(RECORD, *values)

    async def decide(self, purchase: str, *, accepted: bool) -> bool:
        """Record the decision, unless there is one; returns the one that holds."""
        pool = self.world.pools[ORDERS]
        wanted = "accepted" if accepted else "rejected"
        decided = await pool.fetchval(DECIDE, purchase, wanted) or await pool.fetchval(STATE, purchase)
        return bool(decided == "accepted")


class Participant:
    """A service with a database of its own, in which it takes from a balance."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.pool = world.pools[name]

    async def take(self, purchase: Purchase) -> None:
        """Take what the purchase needs, in a transaction of the participant alone. Raises TakeRefused."""
        name, amount = purchase.needs(self.name)
        if await self.pool.fetchval(TAKE, name, amount, purchase.id) is None:
            raise TakeRefused(f"{self.name}: not enough of {name}")
