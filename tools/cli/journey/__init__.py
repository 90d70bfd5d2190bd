"""The journey of events over all services: collected, put together as a tree, and drawn."""
