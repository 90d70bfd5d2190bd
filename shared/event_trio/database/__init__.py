"""Connections to Postgres, migrations, roles, and what its errors mean."""
