"""A client that makes the calls that carry messages (PublishBatch, ReceiveMessage, batches on handles) cost little CPU."""

from .client import LeanClient, lean

__all__ = ["LeanClient", "lean"]
