"""The REST API of the notification service."""
