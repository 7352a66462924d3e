"""The server: two ends of one data plane, and the few pages beside it.

``gateway`` puts everything together from the settings; ``routes`` says what stands at which path; ``admit``
checks who asks; ``protocol`` (fast) and ``asgi`` (reference) bring calls in and answers out; ``pages``
answers what needs no upstream; ``app`` is FastAPI for documentation and ``admin``; ``run`` listens. What a
request leaves behind is noted by ``records``, in the ledger's ``rows`` and in ``spans``; ``policing``,
``sharing`` and ``answers`` give the rules, the shared limits and the cache what they need of settings,
database and Redis.
"""
