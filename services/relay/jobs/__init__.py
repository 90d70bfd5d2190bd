"""Keeps the outbox small and its figures fresh."""
