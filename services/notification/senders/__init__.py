"""The ways to reach a customer."""
