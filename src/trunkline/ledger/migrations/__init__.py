"""Alembic's migrations: `env` runs them, and `versions` has one file for each."""
