"""The sagas: every step is a transaction of one service, announced by an event, and what was done is undone by another.

A carrier takes the place of relay and broker, so that it can be killed between any two of its steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from comparisons.atomicity import saga_events as events
from comparisons.atomicity.faults import Faults, Unreachable
from comparisons.atomicity.saga_events import PurchaseEvent
from comparisons.atomicity.saga_service import AsyncpgConnection, Handler, SagaService
from comparisons.atomicity.ways import DECIDE, RECORD, TAKE, Way
from comparisons.atomicity.world import ORDERS, PAYMENT, STOCK, Purchase, World

GIVE_BACK = """
WITH returned AS (UPDATE balance SET available = available + $2 WHERE name = $1 RETURNING name)
INSERT INTO movement (purchase, name, amount) SELECT $3, name, $2 FROM returned
"""


class Choreography(Way):
    """Services react to each other's events; nobody directs them."""

    name: ClassVar[str] = "saga"
    promised: ClassVar[str] = "delivered to stock"
    bound: ClassVar[str] = "delivered to payment"
    service: ClassVar[type[SagaService]] = SagaService

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.services = [self.service(name, world, handlers) for name, handlers in self.handlers().items()]
        self.orders = self.services[0]

    def handlers(self) -> Mapping[str, Mapping[str, Handler]]:
        """Which service handles which event."""
        return {
            ORDERS: {
                "payment.taken": self.accept,
                "payment.refused": self.reject,
                "stock.refused": self.reject,
            },
            STOCK: {"purchase.requested": self.take_stock, "payment.refused": self.return_stock},
            PAYMENT: {"stock.taken": self.take_payment},
        }

    async def install(self) -> None:
        for service in self.services:
            await service.install()

    async def place(self, purchase: Purchase, faults: Faults) -> bool | None:
        await self.request(purchase)
        faults.step("requested")
        while await self.recover(faults):
            pass
        return None

    async def request(self, purchase: Purchase) -> None:
        """Record the request and its event in one transaction. The client is answered after it."""
        values = (purchase.id, purchase.item, purchase.quantity, purchase.customer, purchase.amount)
        async with self.orders.pool.acquire() as connection, connection.transaction():
            await connection.execute(RECORD, *values)
            await self.orders.emit(connection, events.PurchaseRequested(**_fields(purchase)))

    async def recover(self, faults: Faults) -> bool:
        """Carry every unsent event to its subscribers."""
        carried = [await self.carry(service, faults) for service in self.services]
        return any(carried)

    async def carry(self, service: SagaService, faults: Faults) -> bool:
        """Carry the unsent events of one service; whether one was carried to all of its subscribers."""
        unsent = await service.unsent()
        return any(await asyncio.gather(*(self._carry(service, *event, faults) for event in unsent)))

    async def _carry(self, service: SagaService, number: int, type: str, envelope: bytes, faults: Faults) -> bool:
        for subscriber in self.services:
            if type not in subscriber.handlers:
                continue
            try:
                await faults.call(subscriber.name, "deliver", partial(subscriber.handle, envelope))
            except Unreachable:
                return False  # it stays unsent
            faults.step(f"delivered to {subscriber.name}")
        await service.mark_sent(number)
        faults.step(f"sent by {service.name}")
        return True

    async def take_stock(self, connection: AsyncpgConnection, event: PurchaseEvent) -> PurchaseEvent:
        taken = await self._take(connection, STOCK, event)
        return _as(events.StockTaken if taken else events.StockRefused, event)

    async def take_payment(self, connection: AsyncpgConnection, event: PurchaseEvent) -> PurchaseEvent:
        taken = await self._take(connection, PAYMENT, event)
        return _as(events.PaymentTaken if taken else events.PaymentRefused, event)

    async def return_stock(self, connection: AsyncpgConnection, event: PurchaseEvent) -> PurchaseEvent:
        await connection.execute(GIVE_BACK, event.item, event.quantity, event.purchase)
        return _as(events.StockReturned, event)

    async def accept(self, connection: AsyncpgConnection, event: PurchaseEvent) -> PurchaseEvent | None:
        await connection.execute(DECIDE, event.purchase, "accepted")
        return None

    async def reject(self, connection: AsyncpgConnection, event: PurchaseEvent) -> PurchaseEvent | None:
        await connection.execute(DECIDE, event.purchase, "rejected")
        return None

    async def _take(self, connection: AsyncpgConnection, participant: str, event: PurchaseEvent) -> bool:
        name, amount = _purchase(event).needs(participant)
        if await connection.fetchval(TAKE, name, amount, event.purchase) is None:
            return False
        self.world.lock_begins(participant, event.purchase)
        return True


class Orchestration(Choreography):
    """The order service directs the others: it asks for each step, and for the undoing."""

    name: ClassVar[str] = "saga, directed"

    def handlers(self) -> Mapping[str, Mapping[str, Handler]]:
        return {
            ORDERS: {
                "stock.taken": self.want_payment,
                "stock.refused": self.reject,
                "payment.taken": self.accept,
                "payment.refused": self.want_return,
            },
            STOCK: {"purchase.requested": self.take_stock, "stock.return-wanted": self.return_stock},
            PAYMENT: {"payment.wanted": self.take_payment},
        }

    async def want_payment(self, _: AsyncpgConnection, event: PurchaseEvent) -> PurchaseEvent:
        return _as(events.PaymentWanted, event)

    async def want_return(self, connection: AsyncpgConnection, event: PurchaseEvent) -> PurchaseEvent:
        await self.reject(connection, event)
        return _as(events.StockReturnWanted, event)


def _fields(purchase: Purchase) -> dict[str, object]:
    return {
        "purchase": purchase.id,
        "item": purchase.item,
        "quantity": purchase.quantity,
        "customer": purchase.customer,
        "amount": purchase.amount,
    }


def _as(kind: type[PurchaseEvent], event: PurchaseEvent) -> PurchaseEvent:
    return kind(**event.model_dump())


def _purchase(event: PurchaseEvent) -> Purchase:
    return Purchase(event.purchase, event.item, event.quantity, event.customer, event.amount)
