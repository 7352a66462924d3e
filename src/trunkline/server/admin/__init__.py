"""The admin API under ``/admin/v1``: FastAPI routes over the store, and over the running gateway."""
