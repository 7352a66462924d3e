"""Routing: from a model's name to the upstreams that may serve it, in order.

``names`` reads the names that clients write, ``catalog`` knows which provider has which models (``looks``
finds those that were made since), and ``resolve`` says from both which providers may serve a name. The
``router`` builds a pool (``pools``) of their upstreams as ``candidates``. One of the ``strategies`` chooses
among them by their ``upstream_state``, by the ``latency_predictor`` of Ollama servers, and by the request's
session (``sessions``). A ``breaker`` rests what keeps failing. The ``queue`` holds requests while all their
candidates are at their limits, ``retries`` says how often and how soon a failed request is retried,
``explain`` describes a routing decision to people, and ``provider_status`` the state of all providers.
"""
