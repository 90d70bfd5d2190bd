"""A client for the calls that carry messages, PublishBatch and ReceiveMessage among them, that costs little CPU."""

from .client import LeanClient, lean

__all__ = ["LeanClient", "lean"]
