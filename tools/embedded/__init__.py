"""Postgres and LocalStack as child processes, for machines without Docker."""
