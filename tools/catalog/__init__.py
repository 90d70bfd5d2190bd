"""Generates the event catalog from contracts, handlers and templates, and checks changes of events."""
