"""HTTP towards clients, without any knowledge of the endpoints.

``protocol`` (fast) and ``asgi`` (reference) are the two ends; the fast one has a ``request_cycle`` for each
request, and remembers the head of the last one. Both ask the ``dispatcher``, which finds the
route of a request in ``routes`` (``addresses`` has the usual spellings of a path), asks ``admission`` for the
check of its key and length (``own_site`` refuses other sites' pages), and makes a ``request_head``.
``async_handler`` answers requests that take their time, ``page`` are the answers that the gateway gives
itself, ``forwarded`` finds the client's address behind trusted proxies.
"""
