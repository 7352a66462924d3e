"""Alembic's side of the store: a file for each step from an empty database to today's tables."""
