"""The HTTP side of every service: problem details, tokens and roles, health checks, request context."""
