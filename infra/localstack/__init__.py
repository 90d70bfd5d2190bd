"""Keeps the topology on LocalStack, which loses it at a restart."""
