"""Generates pages of docs/reference from the code."""
