"""Connections to Postgres, migrations, roles, and the classification of database errors."""
