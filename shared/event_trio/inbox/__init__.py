"""The record of the messages that a consumer has processed, and of those that it has deferred."""

from .install import install_tables

__all__ = ["install_tables"]
