"""A real Postgres and a real LocalStack as child processes, for machines without Docker."""
