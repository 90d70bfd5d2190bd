"""The order service: accepts orders, keeps their state, and publishes their changes as events."""
