"""What every HTTP face of a service has: problems, tokens and roles, health, request context."""
