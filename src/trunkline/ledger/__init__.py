"""What is stored: keys, teams, limits and budgets, the audit log, and a row for everything that was used.

Usage rows (``usage_rows``, their column names in ``columns``) go from the event loop into a file at once
(``journal``), and from there, by a thread (``writer``), into the database (``recording``). ``usage`` reads
sums of them, ``id_ranges`` finds single requests among millions, ``export`` writes sums as CSV.

Keys, teams, limits and budgets are changed through ``keys``, ``teams`` and ``rules``, and ``audit`` records
each change. A running gateway reads them again when they have changed (``reader``, ``policies``).

Of the database itself, ``locate`` reads the address, ``store`` opens it, ``tables`` describes its tables, and
``migrate`` brings them up to date by the steps in ``migrations``. SQLAlchemy is imported when a store is
opened.
"""
