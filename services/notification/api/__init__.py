"""The REST face of the notification service."""
