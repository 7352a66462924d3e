"""The migrations, oldest first. Alembic orders them by their revisions."""
