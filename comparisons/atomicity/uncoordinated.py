"""No coordination: one transaction after the other, and nobody who goes on after a failure."""

from __future__ import annotations

from typing import ClassVar

from comparisons.atomicity.faults import Faults, TakeRefused, Unreachable
from comparisons.atomicity.ways import Participant, Way
from comparisons.atomicity.world import PARTICIPANTS, Purchase, World


class Uncoordinated(Way):
    """Takes stock, takes the payment, and records the result. What was taken before a failure stays taken."""

    name: ClassVar[str] = "no coordination"
    promised: ClassVar[str] = "taken at stock"
    bound: ClassVar[str] = "taken at payment"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.participants = [Participant(name, world) for name in PARTICIPANTS]

    async def place(self, purchase: Purchase, faults: Faults) -> bool | None:
        await self.record(purchase)
        faults.step("recorded")
        try:
            for participant in self.participants:
                await faults.call(participant.name, "take", lambda at=participant: at.take(purchase))  # type: ignore[misc]
                faults.step(f"taken at {participant.name}")
        except (TakeRefused, Unreachable):
            return await self.decide(purchase.id, accepted=False)
        accepted = await self.decide(purchase.id, accepted=True)
        faults.step("decided")
        return accepted

    async def recover(self, faults: Faults) -> bool:
        return False
