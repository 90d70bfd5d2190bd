"""Reaches nobody: says in the log that a notice would be sent."""

from __future__ import annotations

import structlog

from ..domain import OutboundMessage

log = structlog.get_logger(__name__)


class LogSender:
    """For one's own machine, and for looking on. The log shows neither the recipient nor the text."""

    channel = "log"

    async def send(self, notice: OutboundMessage) -> None:
        log.info(
            "notice sent",
            action="notification.logged",
            notice=str(notice.key),
            locale=notice.text.locale,
            characters=len(notice.text.body),
        )
