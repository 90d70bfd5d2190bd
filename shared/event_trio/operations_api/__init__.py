"""The REST routes with which operators see and resolve a consumer's messages; the same for every service."""
