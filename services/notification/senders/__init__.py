"""The channels over which customers are notified."""
