"""Routing: a model's name in, upstreams to ask out, in order.

``names`` reads what a client wrote, ``catalog`` knows which provider has which models, and ``resolve`` says
from both which providers may serve it. ``router`` makes a pool of their upstreams (``pools``), among which
one of the ``strategies`` chooses by what ``state`` knows of each at that moment, ``prediction`` expects of
Ollama's servers, and ``sessions`` sees in the request. ``queue`` holds requests while every upstream is full,
``retries`` says how often one that failed is tried again, ``explain`` tells people all of that.
"""
