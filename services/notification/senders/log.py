"""Sends nothing: logs that a message would be sent."""

from __future__ import annotations

import structlog

from ..domain import OutboundMessage

log = structlog.get_logger(__name__)


class LogSender:
    """For development. The log shows neither the recipient nor the text."""

    channel = "log"

    async def send(self, message: OutboundMessage) -> None:
        log.info(
            "message sent to the log only",
            action="notification.logged",
            key=str(message.key),
            locale=message.text.locale,
            characters=len(message.text.body),
        )
