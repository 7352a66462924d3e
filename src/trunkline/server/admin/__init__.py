"""The admin API under ``/admin/v1``: FastAPI routes over the store, and over the running gateway.

``people`` (keys and teams), ``rules`` (limits and budgets) and ``watching`` (usage, changes, what runs) are
the routes; ``shapes`` what they take and give, ``access`` who may use them, ``complaints`` what they say of
a request that is wrong.
"""
