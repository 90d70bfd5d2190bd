"""Two-phase commit with PREPARE TRANSACTION: the coordinator's log is the state of the purchase, and no decision means
that the transaction is rolled back (presumed abort)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import asyncpg

from comparisons.atomicity.faults import Faults, TakeRefused, Unreachable
from comparisons.atomicity.ways import TAKE, Participant, Way
from comparisons.atomicity.world import ORDERS, PARTICIPANTS, Purchase, World

# A row is part of the prepared transaction, so a repeated message to prepare does not take again after the commit. A
# rollback leaves one too, which refuses a message to prepare that comes late.
VOTES = "CREATE TABLE IF NOT EXISTS vote (purchase text PRIMARY KEY)"
VOTE = "INSERT INTO vote (purchase) VALUES ($1)"
REFUSE_LATE_PREPARE = f"{VOTE} ON CONFLICT (purchase) DO NOTHING"
IS_PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE gid = $1)"
IN_DOUBT = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND starts_with(gid, $1)"
ABORT_UNDECIDED = "UPDATE purchase SET state = 'rejected' WHERE state = 'pending' RETURNING id"
STATE = "SELECT state FROM purchase WHERE id = $1"


class PreparingParticipant(Participant):
    """Promises to commit: after `prepare` its rows stay locked until the coordinator decides, over restarts too."""

    async def prepare(self, purchase: Purchase) -> None:
        """Take in a transaction that is prepared and not committed. Raises TakeRefused, which is a vote against it."""
        gid = self._gid(purchase.id)
        async with self.pool.acquire() as connection:
            if await connection.fetchval(IS_PREPARED, gid):
                return
            await connection.execute("BEGIN")
            try:
                await connection.execute(VOTE, purchase.id)
                name, amount = purchase.needs(self.name)
                if await connection.fetchval(TAKE, name, amount, purchase.id) is None:
                    raise TakeRefused(f"{self.name}: not enough of {name}")
                self.world.lock_begins(self.name, purchase.id)
                await connection.execute(f"PREPARE TRANSACTION '{gid}'")
            except asyncpg.UniqueViolationError:
                await connection.execute("ROLLBACK")  # it was committed or rolled back before
            except asyncpg.LockNotAvailableError as error:
                await connection.execute("ROLLBACK")
                raise TakeRefused(f"{self.name}: busy") from error
            except BaseException:
                await connection.execute("ROLLBACK")
                raise

    async def commit(self, purchase: str) -> None:
        """Commit what was prepared; nothing if that is done."""
        await self._finish("COMMIT", purchase)

    async def roll_back(self, purchase: str) -> None:
        """Roll back what was prepared, if anything was, and refuse to prepare later."""
        await self._finish("ROLLBACK", purchase)
        await self.pool.execute(REFUSE_LATE_PREPARE, purchase)

    async def in_doubt(self) -> list[str]:
        """The purchases that are prepared here, and neither committed nor rolled back."""
        prefix = self._gid("")
        return [row["gid"].removeprefix(prefix) for row in await self.pool.fetch(IN_DOUBT, prefix)]

    def _gid(self, purchase: str) -> str:
        """The name of a prepared transaction, which is unique on the server and not only in the database."""
        return f"{self.world.database(self.name)}-{purchase}"

    async def _finish(self, command: str, purchase: str) -> None:
        try:
            await self.pool.execute(f"{command} PREPARED '{self._gid(purchase)}'")
        except asyncpg.UndefinedObjectError:
            return
        self.world.lock_ends(self.name, purchase)


class TwoPhaseCommit(Way):
    """Prepares at both participants, decides, and commits or rolls back at both."""

    name: ClassVar[str] = "2PC"
    promised: ClassVar[str] = "prepared at stock"
    bound: ClassVar[str] = "decided"
    participant: ClassVar[type[PreparingParticipant]] = PreparingParticipant

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.participants = [self.participant(name, world) for name in PARTICIPANTS]

    async def install(self) -> None:
        for participant in self.participants:
            await participant.pool.execute(VOTES)

    async def place(self, purchase: Purchase, faults: Faults) -> bool | None:
        await self.record(purchase)
        faults.step("recorded")
        try:
            for participant in self.participants:
                await faults.call(participant.name, "prepare", partial(participant.prepare, purchase))
                faults.step(f"prepared at {participant.name}")
            vote = True
        except (TakeRefused, Unreachable):
            vote = False
        accepted = await self.decide(purchase.id, accepted=vote)
        faults.step("decided")
        for participant in self.participants:
            await self._finish(participant, purchase.id, accepted, faults)
        return accepted

    async def recover(self, faults: Faults) -> bool:
        undecided = await self.world.pools[ORDERS].fetch(ABORT_UNDECIDED)
        faults.step("undecided aborted")
        found = bool(undecided)
        for participant in self.participants:
            for purchase in await participant.in_doubt():
                found = True
                state = await self.world.pools[ORDERS].fetchval(STATE, purchase)
                await self._finish(participant, purchase, state == "accepted", faults)
        return found

    async def _finish(self, participant: PreparingParticipant, purchase: str, accepted: bool, faults: Faults) -> None:
        name, operation = ("commit", participant.commit) if accepted else ("roll back", participant.roll_back)
        try:
            await faults.call(participant.name, name, partial(operation, purchase))
        except Unreachable:
            return  # the next recovery finds it in doubt
        faults.step(f"{name} at {participant.name}")
