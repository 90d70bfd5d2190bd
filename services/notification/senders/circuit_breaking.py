"""Leaves a sender alone while it fails as a whole, so that its outage costs no event an attempt."""

from __future__ import annotations

import random

import structlog

from event_trio.backoff import Backoff
from event_trio.circuit_breaker import CircuitBreaker, CircuitBreakerOptions
from event_trio.clock import Clock
from event_trio.failure_attribution import Attribution, FailureAttribution

from ..domain import OutboundMessage
from .sender import LEAST_SECONDS, Sender, SenderUnavailable, SendFailed, SendRejected

log = structlog.get_logger(__name__)

TRIP = CircuitBreakerOptions(failures=5, backoff=Backoff(first=2.0, factor=2.0, cap=60.0, jitter=0.5))


class CircuitBreakingSender:
    """A sender behind a circuit breaker, which only what is the sender's own failure opens.

    What is said about one notice, good or bad, is an answer, and closes it. When the sender fails again and again over
    a notice that it had begun with, and others get through meanwhile, then it is the notice.
    """

    def __init__(self, sender: Sender, clock: Clock, *, trip: CircuitBreakerOptions = TRIP) -> None:
        self.channel = sender.channel
        self._sender = sender
        self._clock = clock
        # Jitter is no secret.
        self._breaker = CircuitBreaker(trip, random=random.random)
        self._blame = FailureAttribution()

    async def send(self, notice: OutboundMessage) -> None:
        if not self._breaker.try_call(self._clock.monotonic()):
            raise self._down(self._breaker.reason)
        try:
            await self._sender.send(notice)
        except (SendRejected, SendFailed):
            self._answered(notice, through=False)
            raise
        except (SenderUnavailable, OSError) as error:
            # An OSError is a connection that failed; a sender need not say so in its own words.
            down = (
                error
                if isinstance(error, SenderUnavailable)
                else SenderUnavailable(LEAST_SECONDS, type(error).__name__)
            )
            fault = self._blame.failed(notice.key) if down.doubtful else Attribution.WHOLE
            if fault is not Attribution.WHOLE:
                self._breaker.record_inconclusive()
            elif self._breaker.record_failure(self._clock.monotonic(), str(down)):
                log.warning("the sender is left alone for a while", action="notification.sender_down", error=str(down))
            if fault is Attribution.ITEM:
                raise SendFailed(f"{down}, while other notices went through") from None
            raise self._down(str(down)) from None
        except BaseException:
            # Cut off, or a mistake in the code: it says nothing of the sender, and the next call may be the probe.
            self._breaker.record_inconclusive()
            raise
        self._answered(notice, through=True)

    def _answered(self, notice: OutboundMessage, *, through: bool) -> None:
        self._blame.answered(notice.key, through=through)
        if self._breaker.record_success():
            log.info("the sender works again", action="notification.sender_up")

    def _down(self, reason: str | None) -> SenderUnavailable:
        """Tried again as soon as the breaker lets somebody see."""
        opens_at = self._breaker.next_probe_at
        wait = 0.0 if opens_at is None else opens_at - self._clock.monotonic()
        return SenderUnavailable(max(LEAST_SECONDS, wait), reason)
