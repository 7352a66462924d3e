"""The durable side: keys, teams, limits and budgets, the audit log, and a row for all that was used.

Usage goes from the loop into a file at once (``journal``) and from there by a thread (``writer``) into the
database (``recording``), whence ``usage`` sums it up; ``stretches`` finds single requests among millions.
``rows`` are what is written, ``columns`` their names, ``export`` makes CSV of sums.

What people have decided is in ``keys``, ``teams`` and ``rules``, each change of it noted by ``audit``; a
gateway reads it again when it has changed (``reader``, ``policies``).

The database itself: ``locate`` reads its address, ``store`` opens it, ``tables`` describes what is in it,
``migrate`` brings it up to date by the steps in ``migrations``. SQLAlchemy is imported when a store is
opened.
"""
