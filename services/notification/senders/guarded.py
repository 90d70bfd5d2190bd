"""Leaves a sender alone while it fails as a whole, so that its outage costs no event an attempt."""

from __future__ import annotations

import random

import structlog

from shared.breaker import Breaker, Trip
from shared.clock import Clock
from shared.retry import Backoff

from ..domain import Notice
from .sender import Sender, SenderDown, SendFailed, SendRefused

log = structlog.get_logger(__name__)

TRIP = Trip(failures=5, backoff=Backoff(first=2.0, factor=2.0, cap=60.0, jitter=0.5))


class GuardedSender:
    """A sender behind a circuit breaker. A refusal is an answer: only failures count, and any answer closes it."""

    def __init__(self, sender: Sender, clock: Clock, *, trip: Trip = TRIP) -> None:
        self.channel = sender.channel
        self._sender = sender
        self._clock = clock
        # Jitter is no secret.
        self._breaker = Breaker(trip, random=random.random)

    async def send(self, notice: Notice) -> None:
        now = self._clock.monotonic()
        if not self._breaker.try_call(now):
            opens_at = self._breaker.opens_at
            raise SenderDown(max(1.0, opens_at - now) if opens_at is not None else 1.0, self._breaker.reason)
        try:
            await self._sender.send(notice)
        except SendRefused:
            self._breaker.succeeded()
            raise
        except SendFailed as error:
            if self._breaker.failed(self._clock.monotonic(), str(error)):
                log.warning("the sender is left alone for a while", action="notification.sender_down", error=str(error))
            raise
        except BaseException as error:
            self._breaker.failed(self._clock.monotonic(), type(error).__name__)
            raise
        if self._breaker.succeeded():
            log.info("the sender works again", action="notification.sender_up")
