"""The server: two ends of one data plane, and the few pages beside it.

``gateway`` puts everything together from the settings; ``routes`` says what stands at which path; ``admit``
checks who asks; ``protocol`` (fast) and ``asgi`` (reference) bring calls in and answers out; ``pages``
answers what needs no upstream; ``app`` is FastAPI for documentation and administration; ``run`` listens.
"""
