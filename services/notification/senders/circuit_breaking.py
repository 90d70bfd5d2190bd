"""A sender behind a circuit breaker: an outage of the mail server counts as no event's attempt."""

from __future__ import annotations

import structlog

from event_trio.backoff import Backoff
from event_trio.circuit_breaker import CircuitBreakerOptions, ItemCircuitBreaker
from event_trio.clock import Clock
from event_trio.failure_attribution import Attribution

from ..domain import OutboundMessage
from .sender import LEAST_SECONDS, Sender, SenderUnavailable, SendFailed, SendRejected

log = structlog.get_logger(__name__)

OPTIONS = CircuitBreakerOptions(failures=5, backoff=Backoff(first=2.0, factor=2.0, cap=60.0, jitter=0.5))


class CircuitBreakingSender:
    """A sender behind a circuit breaker that only failures of the sender itself open.

    A response about one message closes it, whether it accepts or rejects the message. A failure that repeats for one
    message while others are sent is attributed to that message.
    """

    def __init__(self, sender: Sender, clock: Clock, *, options: CircuitBreakerOptions = OPTIONS) -> None:
        self.channel = sender.channel
        self._sender = sender
        self._breaker = ItemCircuitBreaker(options, clock, least_wait_seconds=LEAST_SECONDS)

    def circuit(self) -> str:
        """The state of the circuit breaker."""
        return self._breaker.state()

    async def send(self, message: OutboundMessage) -> None:
        if not self._breaker.try_call():
            raise self._unavailable(self._breaker.reason)
        try:
            await self._sender.send(message)
        except (SendRejected, SendFailed):
            self._record_response(message, success=False)
            raise
        except SenderUnavailable as error:
            raise self._failure(message, str(error), may_be_message=error.may_be_message) from None
        except OSError as error:
            # A failed connection that the sender did not translate.
            raise self._failure(message, type(error).__name__, may_be_message=False) from None
        except BaseException:
            # Cancellation or a programming error says nothing about the sender.
            self._breaker.record_inconclusive()
            raise
        self._record_response(message, success=True)

    def _record_response(self, message: OutboundMessage, *, success: bool) -> None:
        if self._breaker.record_response(message.key, success=success):
            log.info("sender is available again", action="notification.sender_available")

    def _failure(
        self, message: OutboundMessage, reason: str, *, may_be_message: bool
    ) -> SendFailed | SenderUnavailable:
        attribution, opened = self._breaker.record_failure(message.key, reason, may_be_item=may_be_message)
        if opened:
            log.warning("sender is unavailable", action="notification.sender_unavailable", error=reason)
        if attribution is Attribution.ITEM:
            return SendFailed(f"{reason}, while other messages were sent")
        return self._unavailable(reason)

    def _unavailable(self, reason: str | None) -> SenderUnavailable:
        return SenderUnavailable(self._breaker.wait_seconds(), reason)
