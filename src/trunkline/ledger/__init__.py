"""The durable side: stored keys. Writing goes through SQLAlchemy, imported when a store is opened."""
