"""The notification service: notifies customers of what happened to their orders."""
