"""Requests with an `Idempotency-Key`: each is processed once, and its answer is kept."""

from .install import install_tables

__all__ = ["install_tables"]
