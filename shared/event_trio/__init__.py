"""Transactional outbox, relay and idempotent consumer for Postgres, SNS FIFO and SQS FIFO."""

__version__ = "0.2.0"

__all__ = ["__version__"]
