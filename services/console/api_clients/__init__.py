"""Clients of the HTTP APIs of services and relays. The console has no other access to the system."""
