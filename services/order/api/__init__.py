"""The REST face of the order service."""
