"""The admin API under ``/admin/v1``: FastAPI routes over the store, and over the running gateway.

``keys_and_teams``, ``rules`` (limits and budgets) and ``reports`` (usage, changes, what runs) are the routes,
and ``upstreams`` (what rests).
``schemas`` are the bodies of their requests and responses, ``access`` checks the key, ``validation_errors``
makes the errors of requests that are not valid. ``app`` makes the application of all these, ``docs`` its
pages.
"""
