"""A cheap path for the calls that carry messages: PublishBatch, ReceiveMessage and the batches on receipt handles."""

from .client import LeanClient, lean

__all__ = ["LeanClient", "lean"]
