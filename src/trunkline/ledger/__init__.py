"""The durable side: keys, teams, limits and budgets, the audit log, and a row for all that was used.

Usage goes from the loop into a file at once (``journal``) and from there by a thread (``writer``) into the
database (``recording``), whence ``usage`` sums it up. What people have decided is in ``keys``, ``teams`` and
``rules``; a gateway reads it again when it has changed (``reader``, ``policies``). SQLAlchemy is imported
when a store is opened.
"""
