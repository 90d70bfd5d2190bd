"""The record of the messages that a consumer has processed, and of those that it has deferred.

`DeadLetters` and `DeferredMessages` are the operations with which an operator resolves deferred messages.
"""

from ..extras import requires

with requires("consumer"):
    from .dead_letters import DeadLetterNotFound, DeadLetters
    from .deferred_messages import DeferredMessageNotFound, DeferredMessages, MessageBlocked
    from .install import install_tables
    from .resolution import MessageBusy
    from .selection import By, Selection
    from .states import Status

__all__ = [
    "By",
    "DeadLetterNotFound",
    "DeadLetters",
    "DeferredMessageNotFound",
    "DeferredMessages",
    "MessageBlocked",
    "MessageBusy",
    "Selection",
    "Status",
    "install_tables",
]
