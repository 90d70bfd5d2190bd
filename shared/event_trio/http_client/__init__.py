"""Calls other services over HTTP."""
